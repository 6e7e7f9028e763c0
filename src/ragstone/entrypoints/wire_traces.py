"""Traces of answers on the wire."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ragstone.entrypoints.wire import Wire, span
from ragstone.types import ChunkKey

if TYPE_CHECKING:
    from ragstone.analytics.trace_record import (
        LegRecord,
        PlaceRecord,
        RankedRecord,
        SearchRecord,
        TraceRecord,
    )
    from ragstone.service.traces import AnswerTrace, TracedCitation
    from ragstone.types import LegScore

DIGITS = 6


def answer_trace(trace: AnswerTrace) -> Wire:
    """How an answer came about; what was removed since is named without its text."""
    record, evidence = trace.record, trace.evidence
    return {
        "answer_id": record.answer_id,
        "at": datetime.fromtimestamp(record.at_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "question": record.question or None,
        "request": None if record.request is None else json.loads(record.request),
        "door": record.door,
        "request_id": record.request_id or None,
        "trace_id": record.trace_id or None,
        "error_code": record.error_code,
        "cache": record.cache,
        "caches": [
            {"level": made.level, "outcome": made.outcome, "reason": made.reason or None}
            for made in record.caches
        ],
        "repeats": record.repeats,
        "corpus_version": record.corpus_version or evidence.corpus_version,
        "degraded": list(record.degraded),
        "failures": list(record.failures),
        "duration_ms": record.total_ms,
        "stages": [
            {"name": run.name, "start_ms": run.start_ms, "duration_ms": run.spent_ms} for run in record.stages
        ],
        "search": None if evidence.search is None else _search(trace, evidence.search),
        "hits": [_place(trace, place, rank) for rank, place in enumerate(evidence.hits, start=1)],
        "passages": [
            _place(trace, place, rank, has_text=True) for rank, place in enumerate(evidence.passages, start=1)
        ],
        **_generation(evidence),
        "citations": [_citation(cited) for cited in trace.citations],
    }


def _generation(record: TraceRecord) -> Wire:
    usage = record.usage
    told = (
        {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
        if usage
        else None
    )
    return {
        "mode": record.mode,
        "model": record.model,
        "prompt_version": record.prompt_version,
        "temperature": record.temperature,
        "usage": told,
    }


def _search(trace: AnswerTrace, record: SearchRecord) -> Wire:
    return {
        "collections": list(record.collections),
        "weights": {"lexical": record.lexical_weight, "dense": record.dense_weight},
        "fusion": record.fusion,
        "depth": record.depth,
        "attempts": record.attempts,
        "legs": {name: _leg(trace, leg) for name, leg in record.legs.items()},
        "ranking": {
            "count": record.ranked_count,
            "first": [_ranked(trace, one, rank) for rank, one in enumerate(record.ranked, start=1)],
        },
    }


def _leg(trace: AnswerTrace, leg: LegRecord) -> Wire:
    return {
        "count": leg.count,
        "failure": leg.failure,
        "first": [
            {
                "rank": rank,
                **_chunk(trace, found.chunk_key),
                "score": round(found.score, DIGITS),
                "share": round(found.share, DIGITS),
            }
            for rank, found in enumerate(leg.first, start=1)
        ],
    }


def _ranked(trace: AnswerTrace, one: RankedRecord, rank: int) -> Wire:
    scores = one.scores
    return {
        "rank": rank,
        **_chunk(trace, one.chunk_key),
        "score": round(scores.fused, DIGITS),
        "lexical_rank": _rank(scores.lexical),
        "dense_rank": _rank(scores.dense),
    }


def _rank(score: LegScore | None) -> int | None:
    return None if score is None else score.rank


def _chunk(trace: AnswerTrace, key: int) -> Wire:
    """A chunk as it is now; without ids when it is out of reach."""
    live = trace.live.get(ChunkKey(key))
    if live is None:
        return {"chunk_id": None, "document_id": None, "title": None, "is_removed": True}
    return {
        "chunk_id": live.id,
        "document_id": live.document_id,
        "title": live.title,
        "is_removed": False,
    }


def _place(trace: AnswerTrace, place: PlaceRecord, rank: int, *, has_text: bool = False) -> Wire:
    live = trace.live.get(ChunkKey(place.chunk_key))
    shown: Wire = {
        "rank": rank,
        "chunk_id": place.chunk_id,
        "document_id": place.document_id,
        "collection": place.collection,
        "span": span(place.span),
        "score": round(place.score, DIGITS),
        "title": None if live is None else live.title,
        "page": None if live is None else live.page,
        "section": None if live is None else list(live.heading_path) or None,
        "is_removed": live is None,
    }
    return shown | {"text": None if live is None else live.text} if has_text else shown


def _citation(cited: TracedCitation) -> Wire:
    record = cited.record
    return {
        "marker": record.marker,
        "chunk_id": record.chunk_id,
        "document_id": record.document_id,
        "span": span(record.span),
        "state": cited.state,
        "quote": cited.quote,
    }
