"""Documents as rows: put, edit, remove, list. Text, chunks and vectors go with their document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import RowMapping, Select, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.store.chunks import NewChunk, insert_chunks, keep_chunks
from ragstone.store.database import now
from ragstone.store.tables import (
    chunks,
    collections,
    document_groups,
    documents,
    sections,
    text_segments,
)
from ragstone.store.visibility import is_visible, matches
from ragstone.types import (
    CollectionId,
    Document,
    DocumentId,
    DocumentKey,
    Filter,
    Metadata,
    PageSpan,
    Principal,
    SectionSpan,
    TenantId,
)

_KEYS_AT_ONCE = 500
"""Keys in one statement: databases limit its parameters."""
SEGMENT_CHARS = 16_384
"""Code points in one piece of stored text: hydrating a chunk reads one or two pieces."""


_parents = documents.alias("parents")


@dataclass(frozen=True, slots=True)
class NewDocument:
    """One version of a document, complete: what a write transaction stores."""

    id: DocumentId
    tenant_id: TenantId
    title: str
    source: str | None
    media_type: str
    language: str | None
    content_sha256: str
    blob_sha256: str | None
    size_bytes: int
    text: str
    pages: Sequence[PageSpan]
    sections: Sequence[SectionSpan]
    chunks: Sequence[NewChunk]
    metadata: Metadata
    access_groups: frozenset[str] | None
    warnings: Sequence[str]
    parent_key: DocumentKey | None = None
    """The document that it came with, when it is an attachment."""
    attachment_name: str | None = None


@dataclass(frozen=True, slots=True)
class StoredState:
    """What a write must know of the document that is there."""

    id: DocumentId
    key: DocumentKey
    collection_id: CollectionId
    collection: str
    version: int
    chunk_count: int
    content_sha256: str
    blob_sha256: str | None
    title: str
    source: str | None
    metadata: Metadata
    parent_key: DocumentKey | None
    attachment_name: str | None


async def put_document(
    connection: AsyncConnection, collection_id: CollectionId, new: NewDocument, old: StoredState | None
) -> tuple[DocumentKey, int]:
    """Store a version and drop the rows of the one before; the key and the version number.

    Chunks that stayed the same keep their rows, and with them key, id and vector: see `keeps_chunks`.
    """
    version = 1 if old is None else old.version + 1
    columns = _columns(new) | {"collection_id": collection_id, "version": version, "updated_at": now()}
    if old is None:
        key = await _insert_document(connection, columns)
    else:
        key = old.key
        for table in (text_segments, sections, document_groups):
            await connection.execute(delete(table).where(table.c.document_key == key))
        await connection.execute(update(documents).where(documents.c.key == key).values(columns))
    await _insert_text(connection, key, new)
    kept: set[int] = set()
    if keeps_chunks(new, old):
        kept = await keep_chunks(connection, key, new.chunks)
    elif old is not None:
        await connection.execute(delete(chunks).where(chunks.c.document_key == key))
    fresh = [(ordinal, chunk) for ordinal, chunk in enumerate(new.chunks) if ordinal not in kept]
    await insert_chunks(connection, key, fresh)
    return key, version


def keeps_chunks(new: NewDocument, old: StoredState | None) -> bool:
    """Whether `put_document` keeps the rows of unchanged chunks.

    A chunk's key stands for its text with title and headings, in every index: another title, other keys.
    """
    return old is not None and old.title == new.title


async def edit_document(
    connection: AsyncConnection,
    key: DocumentKey,
    title: str,
    metadata: Metadata,
    source: str | None = None,
) -> None:
    """Change title, metadata and, when given, the source; text, chunks and vectors stay."""
    values: dict[str, object] = {"title": title, "metadata": dict(metadata), "updated_at": now()}
    if source is not None:
        values["source"] = source
    await connection.execute(update(documents).where(documents.c.key == key).values(values))


async def remove_document(connection: AsyncConnection, key: DocumentKey) -> None:
    """Delete the document's row and, with it, all that hangs on it, its attachments included."""
    await connection.execute(delete(documents).where(documents.c.parent_key == key))
    await connection.execute(delete(documents).where(documents.c.key == key))


async def find_by_id(
    connection: AsyncConnection, principal: Principal, document_id: DocumentId
) -> StoredState | None:
    """The state of a document that `principal` may see."""
    return await _state(connection, _states().where(documents.c.id == document_id, is_visible(principal)))


async def find_by_source(
    connection: AsyncConnection, collection_id: CollectionId, source: str
) -> StoredState | None:
    """The document that came from `source`, if any."""
    return await _state(
        connection,
        _states().where(documents.c.collection_id == collection_id, documents.c.source == source),
    )


async def find_in_collection(
    connection: AsyncConnection, tenant_id: TenantId, collection: str, source: str
) -> StoredState | None:
    """The document that a tenant's collection of this name has from `source`, if any."""
    statement = _states().where(
        collections.c.tenant_id == tenant_id, collections.c.name == collection, documents.c.source == source
    )
    return await _state(connection, statement)


async def find_by_content(
    connection: AsyncConnection, collection_id: CollectionId, content_sha256: str
) -> StoredState | None:
    """The oldest document with exactly these bytes, if any; attachments go with others and do not count."""
    statement = _states().where(
        documents.c.collection_id == collection_id,
        documents.c.content_sha256 == content_sha256,
        documents.c.parent_key.is_(None),
    )
    return await _state(connection, statement.order_by(documents.c.key).limit(1))


async def states_of(
    connection: AsyncConnection, principal: Principal, collection_id: CollectionId, filter_: Filter | None
) -> list[StoredState]:
    """The collection's documents that `principal` may see and a filter, if any, matches, by key."""
    statement = _states().where(documents.c.collection_id == collection_id, is_visible(principal))
    if filter_ is not None:
        statement = statement.where(matches(filter_))
    statement = statement.order_by(documents.c.key)
    return [_stored_state(row) for row in (await connection.execute(statement)).mappings()]


async def attachments_of(connection: AsyncConnection, key: DocumentKey) -> list[StoredState]:
    """The documents that came with this one, by key."""
    statement = _states().where(documents.c.parent_key == key).order_by(documents.c.key)
    return [_stored_state(row) for row in (await connection.execute(statement)).mappings()]


async def with_attachments(connection: AsyncConnection, states: Sequence[StoredState]) -> list[StoredState]:
    """These documents, each once, and after them the attachments that go when they go."""
    found = {state.key: state for state in states}
    keys = [state.key for state in states if state.parent_key is None]
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        part = keys[start : start + _KEYS_AT_ONCE]
        statement = _states().where(documents.c.parent_key.in_(part)).order_by(documents.c.key)
        for row in (await connection.execute(statement)).mappings():
            found.setdefault(DocumentKey(row["key"]), _stored_state(row))
    return list(found.values())


async def get_document(
    connection: AsyncConnection, principal: Principal, document_id: DocumentId
) -> Document | None:
    """One document that `principal` may see, without its text."""
    statement = document_rows().where(documents.c.id == document_id, is_visible(principal))
    row = (await connection.execute(statement)).mappings().first()
    return None if row is None else document_of(row)


async def count_blob_uses(connection: AsyncConnection, blob_sha256: str) -> int:
    """How many documents keep this original."""
    statement = select(func.count()).select_from(documents).where(documents.c.blob_sha256 == blob_sha256)
    return int((await connection.execute(statement)).scalar_one())


async def blob_names(connection: AsyncConnection) -> set[str]:
    """The hashes of all originals that documents use."""
    statement = select(documents.c.blob_sha256).where(documents.c.blob_sha256.is_not(None)).distinct()
    return {str(name) for name in (await connection.execute(statement)).scalars()}


def _columns(new: NewDocument) -> dict[str, object]:
    return {
        "id": new.id,
        "tenant_id": new.tenant_id,
        "title": new.title,
        "source": new.source,
        "media_type": new.media_type,
        "language": new.language,
        "content_sha256": new.content_sha256,
        "blob_sha256": new.blob_sha256,
        "size_bytes": new.size_bytes,
        "char_count": len(new.text),
        "chunk_count": len(new.chunks),
        "metadata": dict(new.metadata),
        "is_restricted": new.access_groups is not None,
        "warnings": list(new.warnings),
        "parent_key": new.parent_key,
        "attachment_name": new.attachment_name,
    }


async def _insert_document(connection: AsyncConnection, columns: Mapping[str, object]) -> DocumentKey:
    statement = (
        insert(documents).values({**columns, "created_at": columns["updated_at"]}).returning(documents.c.key)
    )
    return DocumentKey((await connection.execute(statement)).scalar_one())


async def _insert_text(connection: AsyncConnection, key: DocumentKey, new: NewDocument) -> None:
    rows: list[dict[str, object]] = [
        {
            "document_key": key,
            "start": start,
            "end": min(start + SEGMENT_CHARS, len(new.text)),
            "text": new.text[start : start + SEGMENT_CHARS],
        }
        for start in range(0, len(new.text), SEGMENT_CHARS)
    ]
    if rows:
        await connection.execute(insert(text_segments), rows)
    spans = [_span_row(key, "page", page.span.start, page.span.end, page.page, None) for page in new.pages]
    spans += [
        _span_row(key, "section", part.span.start, part.span.end, None, part.path) for part in new.sections
    ]
    if spans:
        await connection.execute(insert(sections), spans)
    if new.access_groups:
        groups = [{"document_key": key, "access_group": group} for group in sorted(new.access_groups)]
        await connection.execute(insert(document_groups), groups)


def _span_row(
    key: DocumentKey, kind: str, start: int, end: int, page: int | None, path: tuple[str, ...] | None
) -> dict[str, object]:
    listed = None if path is None else list(path)
    return {"document_key": key, "kind": kind, "start": start, "end": end, "page": page, "path": listed}


def _states() -> Select[tuple[object, ...]]:
    return (
        select(documents, collections.c.name.label("collection"), _parents.c.id.label("parent_id"))
        .join(collections, collections.c.id == documents.c.collection_id)
        .outerjoin(_parents, _parents.c.key == documents.c.parent_key)
    )


async def _state(connection: AsyncConnection, statement: Select[tuple[object, ...]]) -> StoredState | None:
    row = (await connection.execute(statement)).mappings().first()
    return None if row is None else _stored_state(row)


def _stored_state(row: RowMapping) -> StoredState:
    return StoredState(
        id=DocumentId(row["id"]),
        key=DocumentKey(row["key"]),
        collection_id=CollectionId(row["collection_id"]),
        collection=row["collection"],
        version=row["version"],
        chunk_count=row["chunk_count"],
        content_sha256=row["content_sha256"],
        blob_sha256=row["blob_sha256"],
        title=row["title"],
        source=row["source"],
        metadata=row["metadata"],
        parent_key=None if row["parent_key"] is None else DocumentKey(row["parent_key"]),
        attachment_name=row["attachment_name"],
    )


document_rows = _states


def document_of(row: RowMapping) -> Document:
    """The document of a row of `document_rows`."""
    return Document(
        id=DocumentId(row["id"]),
        key=DocumentKey(row["key"]),
        collection=row["collection"],
        version=row["version"],
        title=row["title"],
        source=row["source"],
        media_type=row["media_type"],
        language=row["language"],
        size_bytes=row["size_bytes"],
        char_count=row["char_count"],
        chunk_count=row["chunk_count"],
        metadata=row["metadata"],
        warnings=tuple(row["warnings"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        parent_id=None if row["parent_id"] is None else DocumentId(row["parent_id"]),
    )
