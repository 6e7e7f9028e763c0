"""An answer's trace as bytes and back (pure): ids, places, scores and times; no word of a document."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec
from lz4 import block

from ragstone.analytics.asking import asking_json
from ragstone.types import CacheUse, Citation, Hit, ScoreBreakdown, Span, Usage

if TYPE_CHECKING:
    from ragstone.analytics.asked import Asked
    from ragstone.telemetry.trail import LegNote, SearchNote, Trail

QUOTE_BYTES = 8


class CandidateRecord(msgspec.Struct, array_like=True):
    """A candidate of a leg."""

    chunk_key: int
    score: float
    share: float


class LegRecord(msgspec.Struct, array_like=True):
    """What a leg gave; `first` are the best of its candidates."""

    count: int
    first: tuple[CandidateRecord, ...]
    failure: str | None


class RankedRecord(msgspec.Struct, array_like=True):
    """A chunk in the fused ranking."""

    chunk_key: int
    scores: ScoreBreakdown


class SearchRecord(msgspec.Struct, array_like=True):
    """How the ranking came about."""

    collections: tuple[str, ...]
    collection_ids: tuple[str, ...]
    lexical_weight: float
    dense_weight: float
    fusion: str
    depth: int
    attempts: int
    legs: dict[str, LegRecord]
    ranked_count: int
    ranked: tuple[RankedRecord, ...]


class PlaceRecord(msgspec.Struct, array_like=True):
    """A chunk by its ids and its span, with the score it had."""

    chunk_key: int
    chunk_id: str
    document_id: str
    collection: str
    span: Span
    score: float


class CitationRecord(msgspec.Struct, array_like=True):
    """A citation; `quote` is a digest, by which a later reader sees whether the text is still the same."""

    marker: int
    chunk_id: str
    document_id: str
    span: Span
    quote: bytes
    is_exact: bool


class StageRecord(msgspec.Struct, array_like=True):
    """One run of a stage."""

    name: str
    start_ms: float
    spent_ms: float


class CacheRecord(msgspec.Struct, array_like=True):
    """What one cache had."""

    level: str
    outcome: str
    reason: str


class TraceRecord(msgspec.Struct):
    """The whole trace."""

    answer_id: str
    at_ms: int
    door: str
    request_id: str
    trace_id: str
    question: str
    request: str | None
    """As `asking_json` wrote it."""
    cache: CacheUse
    corpus_version: int
    total_ms: float
    hit_count: int
    mode: str | None = None
    error_code: str | None = None
    degraded: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    stages: tuple[StageRecord, ...] = ()
    caches: tuple[CacheRecord, ...] = ()
    search: SearchRecord | None = None
    hits: tuple[PlaceRecord, ...] = ()
    passages: tuple[PlaceRecord, ...] = ()
    citations: tuple[CitationRecord, ...] = ()
    prompt_version: str | None = None
    model: str | None = None
    temperature: float | None = None
    usage: Usage | None = None
    repeats: str | None = None


_DECODER = msgspec.msgpack.Decoder(TraceRecord)


def record_of(asked: Asked, trail: Trail) -> TraceRecord:
    """The trace of a request."""
    return TraceRecord(
        answer_id=str(asked.answer_id),
        at_ms=asked.at_ms,
        door=asked.caller.door,
        request_id=asked.caller.request_id,
        trace_id=asked.trace_id,
        question=asked.asking.search.query,
        request=asking_json(asked.asking),
        cache=asked.cache,
        corpus_version=asked.corpus_version,
        total_ms=asked.timings_ms.get("total", 0.0),
        hit_count=asked.hit_count,
        mode=asked.mode,
        error_code=asked.error_code,
        degraded=asked.degraded,
        failures=tuple(trail.failures),
        stages=tuple(
            StageRecord(run.name, round(run.start_s * 1000, 3), round(run.spent_s * 1000, 3))
            for run in trail.stages
        ),
        caches=tuple(CacheRecord(made.level, made.outcome, made.reason) for made in trail.caches),
        search=None if trail.search is None else _search(trail.search),
        hits=_places(asked.hits),
        passages=_places(trail.passages),
        citations=_citations(asked, trail),
        prompt_version=trail.prompt_version,
        model=trail.model,
        temperature=trail.temperature,
        usage=asked.usage,
        repeats=trail.repeats,
    )


def encode(record: TraceRecord) -> bytes:
    """As it is stored."""
    packed: bytes = block.compress(msgspec.msgpack.encode(record))
    return packed


def decode(body: bytes) -> TraceRecord:
    """As it was.

    Raises:
        ValueError: another version of the product wrote it.
    """
    try:
        return _DECODER.decode(block.decompress(body))
    except (msgspec.DecodeError, block.LZ4BlockError) as error:
        raise ValueError("the trace was written by another version") from error


def digest_of_quote(text: str) -> bytes:
    """A few bytes that stand for a quote."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=QUOTE_BYTES).digest()


def _search(noted: SearchNote) -> SearchRecord:
    return SearchRecord(
        collections=tuple(collection.name for collection in noted.collections),
        collection_ids=tuple(collection.id for collection in noted.collections),
        lexical_weight=noted.weights.lexical,
        dense_weight=noted.weights.dense,
        fusion=noted.fusion,
        depth=noted.depth,
        attempts=noted.attempts,
        legs={name: _leg(leg) for name, leg in noted.legs.items()},
        ranked_count=noted.ranked_count,
        ranked=tuple(RankedRecord(key, scores) for key, scores in noted.ranked),
    )


def _leg(leg: LegNote) -> LegRecord:
    first = tuple(CandidateRecord(found.key, float(found.score), float(found.share)) for found in leg.first)
    return LegRecord(leg.count, first, leg.failure)


def _places(hits: Sequence[Hit]) -> tuple[PlaceRecord, ...]:
    return tuple(
        PlaceRecord(hit.chunk_key, hit.chunk_id, hit.document_id, hit.collection, hit.span, float(hit.score))
        for hit in hits
    )


def _citations(asked: Asked, trail: Trail) -> tuple[CitationRecord, ...]:
    """Those that were checked on the way; of an answer that was kept, those that it has."""
    if trail.citations:
        return tuple(_citation(noted.citation, noted.is_exact) for noted in trail.citations)
    return tuple(_citation(citation, True) for citation in asked.citations)


def _citation(citation: Citation, is_exact: bool) -> CitationRecord:
    return CitationRecord(
        citation.marker,
        citation.chunk_id,
        citation.document_id,
        citation.span,
        digest_of_quote(citation.quote),
        is_exact,
    )
