"""How results look from outside: plain dictionaries, the same at every door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from ragstone.answer.events import AnswerEvent, Checked, Cited, Delta, Failed, Finished, Retrieved, Started
from ragstone.errors import RagstoneError
from ragstone.operate.check import CheckReport
from ragstone.operate.health import HealthReport
from ragstone.service.collections import CollectionCounts
from ragstone.service.pages import DocumentPage
from ragstone.store.listing import Count
from ragstone.types import (
    Answer,
    ChunkingSpec,
    ChunkPreview,
    ChunkStatistics,
    Citation,
    Collection,
    Document,
    Hit,
    LegScore,
    Passage,
    Receipt,
    ScoreBreakdown,
    SearchResult,
    Span,
    Written,
)

Wire: TypeAlias = dict[str, object]
LISTED_IN_RECEIPT = 1000


def written(result: Written) -> Wire:
    """What a write did."""
    return {
        "id": result.document_id,
        "version": result.version,
        "chunk_count": result.chunk_count,
        "embedded_count": result.embedded_count,
        "collection": result.collection,
        "corpus_version": result.corpus_version,
        "status": result.status,
        "warnings": list(result.warnings),
        "attachments": [
            {"id": part.document_id, "name": part.name, "title": part.title, "chunk_count": part.chunk_count}
            for part in result.attachments
        ],
    }


def receipt(result: Receipt) -> Wire:
    """What a removal took away; the first `LISTED_IN_RECEIPT` documents are listed."""
    return {
        "collection": result.collection,
        "document_count": len(result.documents),
        "chunk_count": result.chunk_count,
        "documents": [
            {
                "id": document.id,
                "title": document.title,
                "source": document.source,
                "version": document.version,
                "chunk_count": document.chunk_count,
            }
            for document in result.documents[:LISTED_IN_RECEIPT]
        ],
        "originals": list(result.originals[:LISTED_IN_RECEIPT]),
        "corpus_version": result.corpus_version,
    }


def removed_document(result: Receipt) -> Wire:
    """The removal of one document; the receipt lists its attachments, too."""
    gone = result.documents[0]
    return {
        "id": gone.id,
        "version": gone.version,
        "chunk_count": gone.chunk_count,
        "collection": result.collection,
        "corpus_version": result.corpus_version,
        "status": "removed",
        "receipt": receipt(result),
    }


def removed_documents(result: Receipt) -> Wire:
    """The removal of what a filter matched."""
    return {
        "removed": len(result.documents),
        "collection": result.collection,
        "corpus_version": result.corpus_version,
        "receipt": receipt(result),
    }


def removed_collection(result: Receipt) -> Wire:
    """The removal of a collection."""
    return {
        "removed": result.collection,
        "corpus_version": result.corpus_version,
        "receipt": receipt(result),
    }


def document(found: Document) -> Wire:
    """A document without its text."""
    return {
        "id": found.id,
        "collection": found.collection,
        "version": found.version,
        "title": found.title,
        "source": found.source,
        "media_type": found.media_type,
        "language": found.language,
        "size_bytes": found.size_bytes,
        "char_count": found.char_count,
        "chunk_count": found.chunk_count,
        "metadata": dict(found.metadata),
        "warnings": list(found.warnings),
        "parent_id": found.parent_id,
        "created_at": found.created_at,
        "updated_at": found.updated_at,
    }


def document_page(page: DocumentPage) -> Wire:
    """A page of documents."""
    return {"documents": [document(found) for found in page.documents], "next_cursor": page.next_cursor}


def collection(found: Collection) -> Wire:
    """A collection with its counts."""
    return {
        "name": found.name,
        "language": found.language,
        "document_count": found.document_count,
        "chunk_count": found.chunk_count,
        "corpus_version": found.version,
        "chunking": chunking(found.chunking),
        "embedding": {"model": found.model_id, "revision": found.model_revision, "dim": found.dim},
    }


def collection_counts(found: CollectionCounts) -> Wire:
    """A collection's documents by the values of a key."""
    return {
        "collection": found.collection,
        "by": found.key,
        **_amounts(found.total),
        "counts": [{"value": count.value, **_amounts(count)} for count in found.counts],
    }


def _amounts(count: Count) -> Wire:
    return {
        "document_count": count.document_count,
        "chunk_count": count.chunk_count,
        "size_bytes": count.size_bytes,
    }


def chunking(spec: ChunkingSpec) -> Wire:
    """How documents are cut."""
    return {
        "strategy": spec.strategy,
        "max_tokens": spec.max_tokens,
        "overlap_tokens": spec.overlap_tokens,
    }


def chunk_statistics(found: ChunkStatistics) -> Wire:
    """Figures of chunks."""
    return {
        "chunk_count": found.chunk_count,
        "tokens": {"p50": found.tokens_p50, "p95": found.tokens_p95, "max": found.tokens_max},
        "overlap_share": found.overlap_share,
        "unmeasured": found.unmeasured,
    }


def chunk_preview(found: ChunkPreview) -> Wire:
    """How a file would be cut."""
    text = found.document.text
    return {
        "title": found.title,
        "media_type": found.document.media_type,
        "language": found.document.language,
        "char_count": len(text),
        "warnings": list(found.document.warnings),
        "chunking": chunking(found.chunking),
        "chunks": [
            {
                "text": draft.span.of(text),
                "span": span(draft.span),
                "token_count": draft.token_count,
                "page": draft.page,
                "section": _path(draft.heading_path),
            }
            for draft in found.drafts
        ],
        "statistics": chunk_statistics(found.statistics),
    }


def passage(found: Passage) -> Wire:
    """Characters of a document with their place."""
    return {
        "document_id": found.document_id,
        "title": found.title,
        "text": found.text,
        "span": span(found.span),
        "page": found.page,
        "section": _path(found.section),
        "char_count": found.char_count,
    }


def search_result(result: SearchResult, *, explain: bool) -> Wire:
    """Hits, best first; `scores` only when explained."""
    return {
        "hits": [hit(found, explain=explain) for found in result.hits],
        "corpus_version": result.corpus_version,
        "degraded": list(result.degraded),
        "cache": result.cache,
        "timings": dict(result.timings_ms),
    }


def hit(found: Hit, *, explain: bool) -> Wire:
    """A chunk that answers a search."""
    shown: Wire = {
        "chunk_id": found.chunk_id,
        "document_id": found.document_id,
        "collection": found.collection,
        "title": found.title,
        "source": found.source,
        "text": found.text,
        "score": found.score,
        "span": span(found.span),
        "page": found.page,
        "section": _path(found.section),
        "metadata": dict(found.metadata),
    }
    if found.surroundings is not None:
        around = found.surroundings
        shown["surroundings"] = {"text": around.text, "span": span(around.span)}
    return shown | {"scores": _scores(found.scores)} if explain else shown


def answer(result: Answer, *, explain: bool, request_id: str) -> Wire:
    """A whole answer."""
    return {
        "answer_id": result.answer_id,
        "answer": result.text,
        "mode": result.mode,
        "model": result.model,
        "citations": [citation(found) for found in result.citations],
        "hits": [hit(found, explain=explain) for found in result.hits],
        "usage": _usage(result),
        "corpus_version": result.corpus_version,
        "degraded": list(result.degraded),
        "cache": result.cache,
        "timings": dict(result.timings_ms),
        "request_id": request_id,
    }


def citation(found: Citation) -> Wire:
    """Where a claim comes from: `stored_text[start:end] == quote`."""
    return {
        "marker": found.marker,
        "document_id": found.document_id,
        "chunk_id": found.chunk_id,
        "title": found.title,
        "source": found.source,
        "quote": found.quote,
        "span": span(found.span),
        "page": found.page,
        "section": _path(found.section),
    }


def event(happened: AnswerEvent, *, explain: bool, request_id: str) -> Wire:
    """An answer event as `{"event", "seq", ...payload}`."""
    return {"event": happened.name, "seq": happened.seq, **_payload(happened, explain, request_id)}


def _payload(happened: AnswerEvent, explain: bool, request_id: str) -> Mapping[str, object]:
    match happened:
        case Started():
            return {"answer_id": happened.answer_id, "mode": happened.mode, "request_id": request_id}
        case Retrieved():
            return {
                "hits": [hit(found, explain=explain) for found in happened.hits],
                "corpus_version": happened.corpus_version,
                "degraded": list(happened.degraded),
            }
        case Delta():
            return {"text": happened.text, "restarts": happened.restarts}
        case Cited():
            return {"citation": citation(happened.citation)}
        case Checked():
            return {"citation_count": happened.citation_count, "exact_count": happened.exact_count}
        case Finished():
            return answer(happened.answer, explain=explain, request_id=request_id)
        case Failed():
            return {"code": happened.code, "message": happened.message, "retryable": happened.retryable}


def health(report: HealthReport) -> Wire:
    """How everything is."""
    return {
        "status": report.status,
        "ready": report.is_ready,
        "phase": report.phase,
        "corpus_version": report.corpus_version,
        "uptime_s": report.uptime_s,
        "components": {
            part.name: {"status": part.status, "latency_ms": part.latency_ms, "detail": part.detail}
            for part in report.components
        },
    }


def breakers(report: HealthReport) -> Wire:
    """The breaker of each part: its state, and since the start its failures, openings and refused calls."""
    return {
        "breakers": {
            found.name: {
                "state": found.state,
                "failures": found.failures,
                "opened": found.opened,
                "refused": found.refused,
                "reason": found.reason,
                "retry_in_s": found.retry_in_s,
            }
            for found in report.breakers
        }
    }


def check(report: CheckReport) -> Wire:
    """What agrees and what does not."""
    return {
        "ok": not report.problems,
        "document_count": report.document_count,
        "chunk_count": report.chunk_count,
        "log_layout": report.log_layout,
        "problems": [
            {"store": problem.store, "message": problem.message, "repairable": problem.is_repairable}
            for problem in report.problems
        ],
    }


def error(failure: RagstoneError) -> Wire:
    """An error where a list of results has one per item."""
    return {"code": failure.code, "message": failure.message, "retryable": failure.retryable}


def span(found: Span) -> Wire:
    """Code points, half-open."""
    return {"start": found.start, "end": found.end}


def _path(section: Sequence[str]) -> list[str] | None:
    return list(section) or None


def _scores(scores: ScoreBreakdown) -> Wire:
    return {"lexical": _leg(scores.lexical), "dense": _leg(scores.dense), "fused": scores.fused}


def _leg(score: LegScore | None) -> Wire | None:
    return None if score is None else {"rank": score.rank, "score": score.score, "share": score.share}


def _usage(result: Answer) -> Wire | None:
    if result.usage is None:
        return None
    return {
        "prompt_tokens": result.usage.prompt_tokens,
        "completion_tokens": result.usage.completion_tokens,
    }
