"""Ingest requests and their results as the JSON that a job's row holds, and back (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from ragstone.errors import Conflict, RagstoneError, error_of
from ragstone.ingest.request import IngestRequest
from ragstone.store.job_rows import ClaimedJob, Job
from ragstone.telemetry.spans import TRACEPARENT, present_span
from ragstone.types import (
    DocumentId,
    JsonValue,
    Metadata,
    Principal,
    RawFile,
    WriteStatus,
    Written,
    WrittenAttachment,
)


def payload_of(request: IngestRequest) -> Metadata:
    """What a worker must know besides the columns of the row and the file."""
    groups = request.access_groups
    return {
        "media_type": request.file.media_type,
        "title": request.title,
        "source": request.source,
        "metadata": None if request.metadata is None else dict(request.metadata),
        "replaces": request.document_id,
        "access_groups": None if groups is None else sorted(groups),
        "is_original_kept": request.is_original_kept,
        TRACEPARENT: None if (here := present_span()) is None else here.traceparent,
    }


def origin_of(claimed: ClaimedJob) -> str | None:
    """The traceparent of the request that queued the job, when that was traced."""
    return _text(claimed.payload.get(TRACEPARENT))


def request_of(claimed: ClaimedJob, content: bytes) -> IngestRequest:
    """The request that was queued, on its worker's lease."""
    job, payload = claimed.job, claimed.payload
    metadata, groups = payload["metadata"], payload.get("access_groups")
    return IngestRequest(
        file=RawFile(content, job.name, _text(payload["media_type"])),
        collection=job.collection,
        title=_text(payload["title"]),
        source=_text(payload["source"]),
        metadata=metadata if isinstance(metadata, Mapping) else None,
        document_id=job.document_id if payload["replaces"] else None,
        new_id=job.document_id,
        access_groups=frozenset(map(str, groups)) if isinstance(groups, list) else None,
        principal=Principal(claimed.tenant_id),
        is_original_kept=bool(payload.get("is_original_kept", True)),
        lease=claimed.lease,
        replaced_version=claimed.replaced_version,
    )


def result_of(written: Written) -> Mapping[str, JsonValue]:
    """What a write did, without the corpus version: that is known only once the row is written."""
    return {
        "status": written.status,
        "version": written.version,
        "chunk_count": written.chunk_count,
        "embedded_count": written.embedded_count,
        "collection": written.collection,
        "warnings": list(written.warnings),
        "attachments": [
            {"id": part.document_id, "name": part.name, "title": part.title, "chunk_count": part.chunk_count}
            for part in written.attachments
        ],
    }


def written_of(job: Job, corpus_version: int) -> Written:
    """What the write of a ready job did; `corpus_version` is one that shows it."""
    result = cast("dict[str, object]", job.result or {})
    return Written(
        status=cast("WriteStatus", result["status"]),  # `result_of` wrote it
        document_id=DocumentId(job.document_id),
        version=cast("int", result["version"]),
        chunk_count=cast("int", result["chunk_count"]),
        collection=str(result["collection"]),
        corpus_version=corpus_version,
        warnings=tuple(cast("list[str]", result["warnings"])),
        embedded_count=cast("int", result["embedded_count"]),
        attachments=tuple(
            WrittenAttachment(
                DocumentId(str(part["id"])),
                str(part["name"]),
                str(part["title"]),
                cast("int", part["chunk_count"]),
            )
            for part in cast("list[dict[str, object]]", result.get("attachments", []))
        ),
    )


def error_of_job(job: Job) -> RagstoneError:
    """Why a failed or cancelled job left no document."""
    if job.state == "failed":
        return error_of(job.error_code or "internal", job.error_message or "The job failed.")
    return Conflict(job.error_message or f"Job {job.id} was cancelled.")


def _text(value: object) -> str | None:
    return None if value is None else str(value)
