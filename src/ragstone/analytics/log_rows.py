"""Requests as rows of the log (pure)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cachetools import LRUCache

from ragstone.analytics.asked import Asked
from ragstone.analytics.words import digest_of
from ragstone.store.log_tables import NUMBER_BITS
from ragstone.store.queries import audience_of
from ragstone.store.query_log import AccessRow, QueryRow, RowId
from ragstone.types import Hit, JsonValue, Usage

if TYPE_CHECKING:
    from ragstone.settings import AnalyticsSettings

REMEMBERED = 4_000
"""Requests whose hits a repeated response may be told to hold."""
MADE_ANEW = ("off", "miss")
GENERATING = ("generate", "quote")
RETRIEVE = "retrieve"
NOTHING = Usage(0, 0)
COUNTER_BITS = NUMBER_BITS // 2


class RowNumbers:
    """Numbers of rows: their time, then what no other process is likely to use, then a counter."""

    def __init__(self) -> None:
        self._process = secrets.randbits(NUMBER_BITS - COUNTER_BITS) << COUNTER_BITS
        self._count = 0

    def next(self, at_ms: int) -> RowId:
        """One more number; a thousand a millisecond are distinct."""
        self._count = (self._count + 1) % (1 << COUNTER_BITS)
        return RowId((at_ms << NUMBER_BITS) | self._process | self._count)


@dataclass(frozen=True, slots=True)
class HitNote:
    """What is kept of a hit: never its text."""

    document_id: str
    chunk_id: str
    score: float
    relevance: float


@dataclass(frozen=True, slots=True)
class Noted:
    """A request that waits to be stored, without the text of its hits."""

    asked: Asked
    hits: tuple[HitNote, ...] = ()
    cited: frozenset[str] = frozenset()
    citation_count: int | None = None

    @classmethod
    def of(cls, asked: Asked) -> Noted:
        """The request as it waits; a response that was sent again is taken as it is."""
        if not asked.hits and not asked.citations:
            is_known = asked.asking.kind == "ask" and asked.mode is not None
            return cls(asked, citation_count=0 if is_known else None)
        hits = tuple(
            HitNote(hit.document_id, hit.chunk_id, hit.score, relevance_of(hit)) for hit in asked.hits
        )
        cited = frozenset(citation.chunk_id for citation in asked.citations)
        count = len(asked.citations) if asked.asking.kind == "ask" else None
        return cls(replace(asked, hits=(), citations=()), hits, cited, count)


class LogRows:
    """Turns requests into rows; remembers whose hits a repeated response holds."""

    def __init__(self, settings: AnalyticsSettings, numbers: RowNumbers, model: str | None = None) -> None:
        """Args: `model` is the generator's, for answers that do not name theirs."""
        self._settings = settings
        self._numbers = numbers
        self._model = model
        self._hits_of: LRUCache[tuple[object, ...], tuple[RowId, int | None]] = LRUCache(REMEMBERED)

    def of(self, noted: Noted) -> tuple[QueryRow, list[AccessRow]]:
        """The row of a request and those of its hits."""
        asked = noted.asked
        search, number = asked.asking.search, self._numbers.next(asked.at_ms)
        digest = digest_of(search.query)
        hits_of, citation_count = self._shared(noted, number, digest)
        retrieval, generation = _times(asked)
        scores = sorted((hit.relevance for hit in noted.hits), reverse=True)
        model = self._model_of(asked)
        spent = asked.usage if asked.usage is not None and asked.cache in MADE_ANEW else NOTHING
        row = QueryRow(
            id=number,
            at_ms=asked.at_ms,
            tenant_id=search.principal.tenant_id,
            audience=audience_of(search.principal),
            question=search.query if self._settings.store_text else None,
            question_hash=digest.hex(),
            kind=asked.asking.kind,
            request_id=asked.caller.request_id,
            answer_id=asked.answer_id,
            hits_of=hits_of,
            door=asked.caller.door,
            client=asked.caller.client,
            user_id=asked.caller.user or None,
            collections=search.collections,
            retrieval_ms=retrieval,
            generation_ms=generation,
            total_ms=asked.timings_ms.get("total"),
            source_count=asked.hit_count,
            citation_count=citation_count,
            relevance_scores=tuple(round(score, 4) for score in scores) or None,
            mean_relevance=sum(scores) / len(scores) if scores else None,
            best_relevance=scores[0] if scores else None,
            answer_mode=asked.mode,
            model=model,
            prompt_tokens=spent.prompt_tokens,
            completion_tokens=spent.completion_tokens,
            cost=None if spent is NOTHING else cost_of(self._settings, model, spent),
            mode=search.mode,
            is_hybrid=search.mode == "hybrid",
            is_reranked="rerank" in asked.timings_ms,
            cache=asked.cache,
            degraded=asked.degraded,
            is_degraded=bool(asked.degraded),
            is_success=asked.error_code is None,
            error_code=asked.error_code,
            corpus_version=asked.corpus_version,
            metadata=_metadata(asked),
        )
        return row, self._accesses(noted, number)

    def _shared(self, noted: Noted, number: RowId, digest: bytes) -> tuple[RowId | None, int | None]:
        """Whose accesses and how many citations it has: its own, or those it was sent with before."""
        asked = noted.asked
        if not asked.hit_count or not self._settings.accesses_per_query:
            return None, noted.citation_count
        key = _same_hits(asked, digest)
        if noted.hits:
            self._hits_of[key] = (number, noted.citation_count)
            return number, noted.citation_count
        return self._hits_of.get(key, (None, None))

    def _model_of(self, asked: Asked) -> str | None:
        return asked.model or (self._model if asked.mode == "generated" else None)

    def _accesses(self, noted: Noted, number: RowId) -> list[AccessRow]:
        asked = noted.asked
        tenant_id = asked.asking.search.principal.tenant_id
        kept = noted.hits[: self._settings.accesses_per_query]
        first = {hit.document_id: rank for rank, hit in reversed(list(enumerate(kept, start=1)))}
        return [
            AccessRow(
                query_id=number,
                rank=rank,
                at_ms=asked.at_ms,
                tenant_id=tenant_id,
                document_id=hit.document_id,
                chunk_id=hit.chunk_id,
                score=hit.score,
                is_cited=hit.chunk_id in noted.cited,
                is_first=first[hit.document_id] == rank,
            )
            for rank, hit in enumerate(kept, start=1)
        ]


def generation_ms(timings_ms: Mapping[str, float]) -> float:
    """What writing an answer took, by a generator or by quoting."""
    return sum(timings_ms.get(name, 0.0) for name in GENERATING)


def relevance_of(hit: Hit) -> float:
    """How well a hit fits its question, 0..1: the better of the shares that its legs gave it (`LegScore`).

    Unlike scores, these compare among questions.
    """
    shares = [leg.share for leg in (hit.scores.lexical, hit.scores.dense) if leg is not None]
    return min(1.0, max(0.0, *shares)) if shares else 0.0


def cost_of(settings: AnalyticsSettings, model: str | None, usage: Usage) -> float | None:
    """What the tokens of a generation cost; None when its model has no price."""
    price = None if model is None else settings.prices.get(model)
    if price is None:
        return None
    return (usage.prompt_tokens * price.prompt + usage.completion_tokens * price.completion) / 1_000_000


def _same_hits(asked: Asked, digest: bytes) -> tuple[object, ...]:
    """What requests have in common that are answered with the same response."""
    search = asked.asking.search
    filters = None if search.filters is None else repr(search.filters)
    legs = (search.mode, search.top_k, search.fusion, search.weights, filters, search.expand)
    return (search.principal, asked.asking.kind, asked.asking.temperature, digest, search.collections, *legs)


def _times(asked: Asked) -> tuple[float | None, float | None]:
    """Of retrieval and of generation; a repeated response has neither."""
    timings = asked.timings_ms
    if asked.cache == "hit":
        return None, None
    if asked.asking.kind == "search":
        return timings.get("total"), None
    return timings.get(RETRIEVE), generation_ms(timings)


def _metadata(asked: Asked) -> Mapping[str, JsonValue]:
    search = asked.asking.search
    found: dict[str, JsonValue] = {"top_k": search.top_k}
    if search.filters is not None:
        found["is_filtered"] = True
    if search.expand is not None:
        found["has_surroundings"] = True
    if search.fusion is not None:
        found["fusion"] = search.fusion
    return found
