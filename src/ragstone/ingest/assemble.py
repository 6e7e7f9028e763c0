"""One version of a document, from what was asked and what was prepared (pure)."""

from __future__ import annotations

from uuid6 import uuid7

from ragstone.ingest.prepare import Prepared
from ragstone.ingest.request import IngestRequest
from ragstone.store.documents import NewDocument, StoredState
from ragstone.types import DocumentId, Metadata


def assemble(
    request: IngestRequest,
    prepared: Prepared,
    old: StoredState | None,
    content_sha256: str,
    blob: str | None,
) -> NewDocument:
    """The rows-to-be; id, source and metadata of `old` stay where the request does not say otherwise."""
    parsed = prepared.parsed
    document_id = request.new_id or DocumentId(str(uuid7()))
    return NewDocument(
        id=document_id if old is None else old.id,
        tenant_id=request.principal.tenant_id,
        title=prepared.title,
        source=request.source if request.source is not None or old is None else old.source,
        media_type=parsed.media_type,
        language=parsed.language,
        content_sha256=content_sha256,
        blob_sha256=blob,
        size_bytes=len(request.file.content),
        text=parsed.text,
        pages=parsed.pages,
        sections=parsed.sections,
        chunks=prepared.chunks,
        metadata={**parsed.metadata, **given_metadata(request, old)},
        access_groups=request.access_groups,
        warnings=parsed.warnings,
    )


def given_metadata(request: IngestRequest, old: StoredState | None) -> Metadata:
    """What the request says of the document, else what is said already."""
    if request.metadata is not None:
        return request.metadata
    return {} if old is None else old.metadata
