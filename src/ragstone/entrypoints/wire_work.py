"""Jobs and sources on the wire: what goes on beside requests."""

from __future__ import annotations

from collections.abc import Sequence

from ragstone.cache.cache import CacheStatistics
from ragstone.entrypoints import wire
from ragstone.entrypoints.wire import Wire
from ragstone.errors import RagstoneError
from ragstone.ingest.explain_job import explain
from ragstone.ingest.queue import Accepted
from ragstone.ingest.sources.single import ImportedFile
from ragstone.service.caches import CachesReport
from ragstone.service.jobs import JobPage
from ragstone.service.sources import SourceStatus
from ragstone.store.job_rows import Job, JobAttempt
from ragstone.store.sources import SourceRun


def accepted(result: Accepted) -> Wire:
    """An upload that goes on in the background."""
    return {"job_id": result.job_id, "document_id": result.document_id, "status": "running"}


def job(found: Job) -> Wire:
    """How a job is doing."""
    return {
        "id": found.id,
        "state": found.state,
        "stage": found.stage,
        "progress": {"done": found.done, "total": found.total} if found.total else None,
        "priority": found.priority,
        "document_id": found.document_id,
        "name": found.name,
        "collection": found.collection,
        "source_name": found.source_name,
        "size_bytes": found.size_bytes,
        "attempts": found.attempts,
        "failures": found.failures,
        "history": [_attempt(attempt) for attempt in found.history],
        "result": None if found.result is None else dict(found.result),
        "error": _error(found),
        "retryable": found.state == "failed" and found.is_original_kept,
        "run_after": found.run_after if found.state == "queued" else None,
        "created_at": found.created_at,
        "started_at": found.started_at,
        "finished_at": found.finished_at,
        "updated_at": found.updated_at,
    }


def explained_job(found: Job) -> Wire:
    """How a job is doing, and the same in a paragraph."""
    return {**job(found), "explanation": explain(found)}


def job_page(page: JobPage) -> Wire:
    """A page of jobs."""
    return {"jobs": [job(found) for found in page.jobs], "next_cursor": page.next_cursor}


def _error(found: Job | SourceRun) -> Wire | None:
    if found.error_code is None:
        return None
    return {"code": found.error_code, "message": found.error_message}


def _attempt(attempt: JobAttempt) -> Wire:
    return {
        "number": attempt.number,
        "stage": attempt.stage,
        "ended_at": attempt.ended_at,
        "code": attempt.code,
        "message": attempt.message,
    }


def source(found: SourceStatus) -> Wire:
    """A source of the catalogue, what is stored of it, its newest runs."""
    entry = found.entry
    return {
        "name": entry.name,
        "kind": entry.kind,
        "location": entry.location,
        "collection": entry.collection,
        "metadata": dict(entry.metadata),
        "schedule_s": entry.schedule,
        "is_running": found.state.is_running,
        "next_run_at": found.state.next_run_at,
        "document_count": found.state.document_count,
        "failed_count": found.state.failed_count,
        "runs": [source_run(run) for run in found.runs],
    }


def source_run(found: SourceRun) -> Wire:
    """How a sync went."""
    return {
        "id": found.id,
        "source": found.source_name,
        "state": found.state,
        "counts": dict(found.counts),
        "failures": [dict(failure) for failure in found.failures],
        "note": found.note,
        "error": _error(found),
        "started_at": found.started_at or None,
        "finished_at": found.finished_at,
    }


def imported(results: Sequence[ImportedFile]) -> Wire:
    """What became of each file of an import."""
    return {"results": [{"path": result.path, **_outcome(result)} for result in results]}


def _outcome(result: ImportedFile) -> Wire:
    if isinstance(result.outcome, RagstoneError):
        return {"status": "failed", "error": wire.error(result.outcome)}
    return wire.written(result.outcome)


def caches(report: CachesReport) -> Wire:
    """Figures of every cache since the process began."""
    tier = report.tier
    return {
        "caches": [_cache(found) for found in report.caches],
        "tier": None
        if tier is None
        else {
            "name": tier.name,
            "is_available": tier.is_available,
            "error": tier.error,
            "entries": tier.entries,
            "size_bytes": tier.size_bytes,
            "written_payload_bytes": tier.written_payload_bytes,
            "written_stored_bytes": tier.written_stored_bytes,
            "dropped": tier.dropped,
        },
    }


def _cache(found: CacheStatistics) -> Wire:
    return {
        "name": found.name,
        "hits": dict(found.hits),
        "misses": found.misses,
        "hit_rate": round(found.hit_rate, 4),
        "sets": found.sets,
        "errors": found.errors,
        "entries": found.entries,
        "size_bytes": found.size_bytes,
        "max_bytes": found.max_bytes,
        "ttl_s": found.ttl_s,
        "saved_ms": round(found.saved_ms, 1),
        "saved_tokens": found.saved_tokens,
        "mean_lookup_us": round(1e6 * found.lookup_s / found.lookups, 1) if found.lookups else None,
    }
