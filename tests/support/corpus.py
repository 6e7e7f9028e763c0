"""Documents, embeddings and open parts for tests below the doors."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from ragstone.index.follower import IndexFollower, open_follower
from ragstone.index.slot import take_slot
from ragstone.ingest.write import Writer
from ragstone.models.fakes import HashEmbedder
from ragstone.settings import StoreSettings
from ragstone.store.chunks import NewChunk
from ragstone.store.collections import create_collection
from ragstone.store.database import Database, StoreConnection, open_database
from ragstone.store.documents import NewDocument, put_document
from ragstone.types import (
    DEFAULT_TENANT,
    ChunkDraft,
    ChunkingSpec,
    ChunkKey,
    Collection,
    CollectionId,
    DocumentId,
    DocumentKey,
    Hit,
    Metadata,
    PageSpan,
    ScoreBreakdown,
    SectionSpan,
    Span,
    TenantId,
    Vector,
)

EMBEDDER = HashEmbedder()
WRITER_MEMORY_MB = 15


def embed(text: str) -> Vector:
    """The vector that `HashEmbedder` gives the text."""
    return EMBEDDER._embed(text)


def collection_named(name: str, tenant_id: TenantId = DEFAULT_TENANT, language: str = "en") -> Collection:
    """A collection that is not stored yet."""
    return Collection(
        CollectionId(str(uuid4())),
        tenant_id,
        name,
        language,
        ChunkingSpec(),
        EMBEDDER.model_id,
        EMBEDDER.revision,
        EMBEDDER.dim,
        0,
    )


def document(
    text: str,
    *,
    document_id: str | None = None,
    tenant_id: TenantId = DEFAULT_TENANT,
    title: str = "A title",
    source: str | None = None,
    metadata: Metadata | None = None,
    access_groups: frozenset[str] | None = None,
    pages: Sequence[PageSpan] = (),
    sections: Sequence[SectionSpan] = (),
    chunk_chars: int = 40,
) -> NewDocument:
    """A document cut into chunks of `chunk_chars` characters."""
    spans = [Span(start, min(start + chunk_chars, len(text))) for start in range(0, len(text), chunk_chars)]
    return NewDocument(
        id=DocumentId(document_id or str(uuid4())),
        tenant_id=tenant_id,
        title=title,
        source=source,
        media_type="text/plain",
        language=None,
        content_sha256=hashlib.sha256(text.encode()).hexdigest(),
        blob_sha256=None,
        size_bytes=len(text.encode()),
        text=text,
        pages=pages,
        sections=sections,
        chunks=[_chunk(text, span) for span in spans],
        metadata=metadata or {},
        access_groups=access_groups,
        warnings=(),
    )


def _chunk(text: str, span: Span) -> NewChunk:
    body = span.of(text)
    return NewChunk(ChunkDraft(span), hashlib.sha256(body.encode()).digest(), embed(body).tobytes())


def hit(
    text: str,
    *,
    document_id: str = "d",
    start: int = 0,
    title: str = "A title",
    section: tuple[str, ...] = (),
    page: int | None = None,
) -> Hit:
    """A hit whose text begins at `start` of its document."""
    return Hit(
        chunk_key=ChunkKey(start + 1),
        chunk_id=f"{document_id}-{start}",
        document_id=DocumentId(document_id),
        collection="default",
        title=title,
        source=None,
        text=text,
        score=1.0,
        span=Span(start, start + len(text)),
        page=page,
        section=section,
        metadata={},
        scores=ScoreBreakdown(None, None, 1.0),
    )


@dataclass(frozen=True, slots=True)
class Parts:
    """The truth, this process's indexes and the way into both."""

    database: Database
    follower: IndexFollower
    writer: Writer

    async def create(
        self, name: str, tenant_id: TenantId = DEFAULT_TENANT, language: str = "en"
    ) -> Collection:
        """A new collection, applied."""
        planned = collection_named(name, tenant_id, language)
        async with self.writer.change() as change:
            made = await create_collection(change.connection, planned)
            change.collections[made.id] = "created"
        return made

    async def put(self, collection: Collection, *new: NewDocument) -> DocumentKey:
        """New documents in one change, searchable; the key of the last one."""
        async with self.writer.change() as change:
            for one in new:
                key, _ = await put_document(change.connection, collection.id, one, None)
                change.touch(collection.id, [key])
        return key

    async def found(self, collection: Collection, query: str) -> set[int]:
        """The chunk keys that the lexical leg finds."""
        candidates = await self.follower.search_lexical(collection.id, query, 100, None)
        return {candidate.key for candidate in candidates}


@asynccontextmanager
async def open_store(path: Path, **changed: float) -> AsyncIterator[Database]:
    """A database that is closed at the end; `changed` are store settings."""
    database = await open_database(path, StoreSettings.model_validate(changed))
    try:
        yield database
    finally:
        await database.aclose()


@asynccontextmanager
async def open_parts(home: Path) -> AsyncIterator[Parts]:
    """Database, follower and writer of one home; closed at the end."""
    async with open_store(home / "ragstone.db") as database:
        follower = await open_follower(database, take_slot(home / "index"), WRITER_MEMORY_MB)
        try:
            yield Parts(database, follower, Writer(database, follower))
        finally:
            await follower.aclose()


async def store_collection(connection: StoreConnection, collection: Collection) -> Collection:
    """Store a collection without telling any index."""
    return await create_collection(connection, collection)
