"""What was attached to a document, as documents that come, change and go with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anyio import to_thread
from uuid6 import uuid7

from ragstone.errors import Conflict
from ragstone.ingest.originals import content_hash
from ragstone.store.documents import (
    NewDocument,
    StoredState,
    attachments_of,
    edit_document,
    find_by_source,
    keeps_chunks,
    put_document,
    remove_document,
)
from ragstone.types import DocumentId, DocumentKey, JsonValue, Metadata, WrittenAttachment

if TYPE_CHECKING:
    from ragstone.ingest.prepare import Prepared, PreparedAttachment
    from ragstone.ingest.request import IngestRequest
    from ragstone.ingest.write import Change
    from ragstone.store.database import StoreConnection
    from ragstone.types import CollectionId

PARENT_KEYS = ("parent_id", "attachment_of")
"""Metadata that an attachment has of its own, to be filtered on and shown beside a hit."""


@dataclass(frozen=True, slots=True)
class Parent:
    """The document that attachments hang on, as it is stored now."""

    collection_id: CollectionId
    key: DocumentKey
    id: DocumentId
    title: str
    source: str | None
    given: Metadata
    """The metadata that somebody gave it; what was read from its file is not passed on."""


def require_no_attachment(old: StoredState | None) -> None:
    """Go on only when the document may be replaced by itself.

    Raises:
        Conflict: it is an attachment.
    """
    if old is not None and old.parent_key is not None:
        raise Conflict(
            f"Document {old.id} ({old.attachment_name!r}) is an attachment of document "
            f"{old.metadata.get('parent_id')}; replace that one, or remove this one first."
        )


async def write_attachments(
    change: Change, request: IngestRequest, parent: Parent, prepared: Prepared
) -> tuple[WrittenAttachment, ...]:
    """Store the attachments of a document's new version and remove those that it has no more.

    One that came under its name before keeps its id, and the chunks whose text stayed the same.
    """
    before = {state.attachment_name: state for state in await attachments_of(change.connection, parent.key)}
    written = [
        await _write(change, request, parent, part, before.pop(part.file.name, None))
        for part in prepared.attachments
    ]
    for gone in before.values():
        await remove_document(change.connection, gone.key)
        change.touch(parent.collection_id, [gone.key])
    return tuple(written)


async def _write(
    change: Change,
    request: IngestRequest,
    parent: Parent,
    part: PreparedAttachment,
    old: StoredState | None,
) -> WrittenAttachment:
    parsed, content = part.prepared.parsed, part.file.content
    content_sha256 = await to_thread.run_sync(content_hash, content)
    new = NewDocument(
        id=DocumentId(str(uuid7())) if old is None else old.id,
        tenant_id=request.principal.tenant_id,
        title=part.prepared.title,
        source=await _source(change.connection, parent, part.file.name, old),
        media_type=parsed.media_type,
        language=parsed.language,
        content_sha256=content_sha256,
        blob_sha256=None,  # its bytes lie in the parent's original
        size_bytes=len(content),
        text=parsed.text,
        pages=parsed.pages,
        sections=parsed.sections,
        chunks=part.prepared.chunks,
        metadata={**parsed.metadata, **parent.given, **_own(parent)},
        access_groups=request.access_groups,
        warnings=parsed.warnings,
        parent_key=parent.key,
        attachment_name=part.file.name,
    )
    key, _ = await put_document(change.connection, parent.collection_id, new, old)
    if keeps_chunks(new, old):
        change.touch_chunks(parent.collection_id, key)
    else:
        change.touch(parent.collection_id, [key])
    return WrittenAttachment(new.id, part.file.name, new.title, len(new.chunks))


async def follow_edit(
    change: Change, old: StoredState, title: str, metadata: Metadata, source: str | None = None
) -> None:
    """Give the attachments of an edited document the metadata, and the source, that it got."""
    fresh = Parent(old.collection_id, old.key, old.id, title, source or old.source, metadata)
    for part in await attachments_of(change.connection, old.key):
        inherited = _inherited(part.metadata, old.metadata, fresh)
        moved = None
        if source is not None:
            moved = await _source(change.connection, fresh, str(part.attachment_name), part)
        await edit_document(change.connection, part.key, part.title, inherited, moved)
        change.touch(part.collection_id, [part.key])


def _inherited(present: Metadata, before: Metadata, parent: Parent) -> Metadata:
    """An attachment's metadata after its parent's changed: the parent's old values go, the new ones come."""
    kept: Mapping[str, JsonValue] = {
        key: value for key, value in present.items() if key not in before or before[key] != value
    }
    changed = {
        key: value for key, value in parent.given.items() if before.get(key) != value or key in present
    }
    return {**kept, **changed, **_own(parent)}


def _own(parent: Parent) -> Metadata:
    return dict(zip(PARENT_KEYS, (parent.id, parent.title), strict=True))


async def _source(
    connection: StoreConnection, parent: Parent, name: str, old: StoredState | None
) -> str | None:
    """Where it comes from: the parent's source and its name; none where another document says that."""
    if parent.source is None:
        return None
    source = f"{parent.source}#{name}"
    other = await find_by_source(connection, parent.collection_id, source)
    is_free = other is None or (old is not None and other.id == old.id)
    return source if is_free else None
