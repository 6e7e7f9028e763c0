"""The trace of one answer: what was noted of it, with texts as the store has them now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ragstone.analytics.trace_record import CitationRecord, TraceRecord, digest_of_quote
from ragstone.errors import AnswerNotFound
from ragstone.store.collections import find_collections
from ragstone.store.passages import HydratedChunk, hydrate
from ragstone.store.reading import read_passage
from ragstone.types import LOCAL_OWNER, ChunkKey, CollectionId, DocumentId, Principal

if TYPE_CHECKING:
    from ragstone.analytics.answer_traces import AnswerTraces
    from ragstone.store.database import Database, StoreConnection

LONGEST_CHAIN = 3
"""A response that was rendered of a kept answer that was made with another request."""
QuoteState = Literal["exact", "dropped", "changed", "removed"]
"""Still as it was cited; dropped when the answer was made; other text stands there now; out of reach now."""


@dataclass(frozen=True, slots=True)
class TracedCitation:
    """A citation of the answer, and its quote where that still stands."""

    record: CitationRecord
    state: QuoteState
    quote: str | None = None


@dataclass(frozen=True, slots=True)
class AnswerTrace:
    """How an answer came about. What `live` lacks was removed since, or is not for this reader."""

    record: TraceRecord
    origin: TraceRecord | None
    """The answer whose response was sent again; its evidence is this one's."""
    live: Mapping[ChunkKey, HydratedChunk] = field(default_factory=dict)
    citations: tuple[TracedCitation, ...] = ()

    @property
    def evidence(self) -> TraceRecord:
        """What says on which passages the answer rests."""
        return self.origin or self.record


class TraceService:
    """Explains answers that were given."""

    def __init__(self, database: Database, traces: AnswerTraces) -> None:
        self._database = database
        self._traces = traces

    async def get(self, name: str, principal: Principal = LOCAL_OWNER) -> AnswerTrace:
        """The trace of an answer, by its id, or by the id of the request that asked for it.

        Raises:
            AnswerNotFound: no trace of it is kept, or another tenant asked.
            StoreFailed: the database does not answer.
        """
        record = await self._traces.find(name, principal)
        if record is None:
            raise AnswerNotFound(name)
        origin = await self._origin(record, principal)
        evidence = origin or record
        async with self._database.read() as connection:
            live = await _live(connection, principal, evidence)
            citations = [await _traced(connection, principal, cited) for cited in evidence.citations]
        return AnswerTrace(record, origin, live, tuple(citations))

    async def _origin(self, record: TraceRecord, principal: Principal) -> TraceRecord | None:
        """The answer that was made, of which this one is a repeat: over the one that was rendered, if any."""
        origin: TraceRecord | None = None
        for _ in range(LONGEST_CHAIN):
            repeats = (origin or record).repeats
            found = None if repeats is None else await self._traces.find(repeats, principal)
            if found is None:
                break
            origin = found
        return origin


async def _live(
    connection: StoreConnection, principal: Principal, record: TraceRecord
) -> Mapping[ChunkKey, HydratedChunk]:
    keys = dict.fromkeys(ChunkKey(key) for key in _keys(record))
    ids = await _collection_ids(connection, principal, record)
    if not keys or not ids:
        return {}
    return (await hydrate(connection, principal, ids, list(keys))).chunks


def _keys(record: TraceRecord) -> Iterable[int]:
    yield from (place.chunk_key for place in (*record.passages, *record.hits))
    if record.search is not None:
        yield from (ranked.chunk_key for ranked in record.search.ranked)
        for leg in record.search.legs.values():
            yield from (candidate.chunk_key for candidate in leg.first)


async def _collection_ids(
    connection: StoreConnection, principal: Principal, record: TraceRecord
) -> list[CollectionId]:
    """Of the search; of an answer that was kept, those that its hits lay in."""
    if record.search is not None:
        return [CollectionId(found) for found in record.search.collection_ids]
    names = {place.collection for place in (*record.hits, *record.passages)}
    known = await find_collections(connection, principal.tenant_id)
    return [collection.id for collection in known if collection.name in names]


async def _traced(connection: StoreConnection, principal: Principal, cited: CitationRecord) -> TracedCitation:
    if not cited.is_exact:
        return TracedCitation(cited, "dropped")
    passage = await read_passage(connection, principal, DocumentId(cited.document_id), cited.span)
    if passage is None:
        return TracedCitation(cited, "removed")
    if digest_of_quote(passage.text) != cited.quote:
        return TracedCitation(cited, "changed")
    return TracedCitation(cited, "exact", passage.text)
