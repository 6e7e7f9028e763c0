"""parse > chunk > embed > write: one document from bytes to searchable."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal

import numpy as np
from anyio import to_thread
from uuid6 import uuid7

from ragstone.config import IngestSettings
from ragstone.errors import DocumentNotFound, DocumentRejected, EmptyDocument
from ragstone.ingest.chunk import chunk, embedding_text
from ragstone.search.pipeline import check_model
from ragstone.store.collections import check_name, create_collection, find_collections
from ragstone.store.documents import (
    NewChunk,
    NewDocument,
    StoredState,
    count_blob_uses,
    edit_document,
    find_by_content,
    find_by_id,
    find_by_source,
    put_document,
    vectors_by_hash,
)
from ragstone.store.jobs import unfinished_jobs
from ragstone.types import (
    DEFAULT_COLLECTION,
    LOCAL_OWNER,
    ChunkDraft,
    ChunkingSpec,
    Collection,
    CollectionId,
    DocumentId,
    Metadata,
    ParsedDocument,
    Parser,
    Principal,
    RawFile,
    Written,
)

if TYPE_CHECKING:
    from ragstone.deadline import Deadline
    from ragstone.ingest.write import Writer
    from ragstone.models.ports import Embedder
    from ragstone.store.blobs import Blobs
    from ragstone.store.database import Database, StoreConnection
    from ragstone.telemetry.stages import StageTimer


INLINE_NAME = "inline.md"
LONGEST_MADE_TITLE = 80


def inline_file(text: str) -> RawFile:
    """Text that came without a file: Markdown, as plain text nearly always is."""
    return RawFile(text.encode("utf-8", "replace"), INLINE_NAME, "text/markdown")


@dataclass(frozen=True, slots=True)
class IngestRequest:
    """A document to take in.

    With `document_id` exactly that document is replaced. Otherwise a document of the collection with the
    same `source` is replaced, and, without a source, one with the same bytes is left as it is.
    """

    file: RawFile
    collection: str = DEFAULT_COLLECTION
    title: str | None = None
    source: str | None = None
    metadata: Metadata | None = None
    """None keeps what a replaced document has."""
    document_id: DocumentId | None = None
    new_id: DocumentId | None = None
    """Id for a document that turns out to be new; made up when None."""
    access_groups: frozenset[str] | None = None
    principal: Principal = LOCAL_OWNER
    is_original_kept: bool = False


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A document ready to be written, with the hash of its bytes."""

    parsed: ParsedDocument
    chunks: Sequence[NewChunk]
    title: str
    content_sha256: str
    embedded_count: int


class IngestPipeline:
    """Takes documents in. Any number may run at once; the truth is written one at a time."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        parser: Parser,
        embedder: Embedder,
        blobs: Blobs,
        settings: IngestSettings,
    ) -> None:
        self._database = database
        self._writer = writer
        self._parser = parser
        self._embedder = embedder
        self._blobs = blobs
        self._settings = settings

    async def run(self, request: IngestRequest, deadline: Deadline, timer: StageTimer) -> Written:
        """Take one document in; it is searchable when this returns.

        Raises:
            DocumentRejected: it cannot be taken in; nothing was stored.
            DocumentNotFound: `document_id` names no live document.
            ModelMismatch: the collection belongs to another embedding model.
            DeadlineExceeded: the time is used up; nothing was stored.
        """
        check_name(request.collection)
        content_sha256 = await to_thread.run_sync(_sha256, request.file.content)
        async with self._database.read() as connection:
            collection, old = await self._locate(connection, request, content_sha256)
        if old is not None and old.content_sha256 == content_sha256:
            written = await self._edit(request, content_sha256)
            if written is not None:
                return written
        check_model(collection, self._embedder)
        prepared = await self._prepare(request, collection, old, content_sha256, deadline, timer)
        deadline.check("writing")
        with timer.stage("write"):
            return await self._write(request, collection, prepared)

    async def _locate(
        self, connection: StoreConnection, request: IngestRequest, content_sha256: str
    ) -> tuple[Collection, StoredState | None]:
        """Where the document goes, and what is there now. A collection that is not there yet is planned."""
        tenant_id, name = request.principal.tenant_id, request.collection
        old: StoredState | None = None
        if request.document_id is not None:
            old = await find_by_id(connection, request.principal, request.document_id)
            if old is None:
                raise DocumentNotFound(request.document_id)
            name = old.collection
        found = await find_collections(connection, tenant_id, (name,))
        if not found:
            return self.new_collection(request.principal, name, "en"), None
        if old is None and request.source is not None:
            old = await find_by_source(connection, found[0].id, request.source)
        elif old is None:
            old = await find_by_content(connection, found[0].id, content_sha256)
        return found[0], old

    def new_collection(
        self, principal: Principal, name: str, language: str, chunking: ChunkingSpec | None = None
    ) -> Collection:
        """A collection of the configured model, not stored yet."""
        settings = self._settings
        return Collection(
            id=CollectionId(str(uuid7())),
            tenant_id=principal.tenant_id,
            name=check_name(name),
            language=language,
            chunking=chunking or ChunkingSpec(settings.chunk_max_tokens, settings.chunk_overlap_tokens),
            model_id=self._embedder.model_id,
            model_revision=self._embedder.revision,
            dim=self._embedder.dim,
            version=0,
        )

    async def _edit(self, request: IngestRequest, content_sha256: str) -> Written | None:
        """The same bytes again: at most title and metadata change, nothing is embedded."""
        async with self._writer.change() as change:
            _, old = await self._locate(change.connection, request, content_sha256)
            if old is None or old.content_sha256 != content_sha256:
                return None
            title = request.title if request.title is not None else old.title
            metadata = {**old.metadata, **(request.metadata or {})}
            is_same = title == old.title and metadata == dict(old.metadata)
            if not is_same:
                await edit_document(change.connection, old.key, title, metadata)
                change.touch(old.collection_id, [old.key])
        version = change.version or await self._database.corpus_version()
        status: Literal["unchanged", "updated"] = "unchanged" if is_same else "updated"
        return Written(status, old.id, old.version, old.chunk_count, old.collection, version)

    async def _prepare(
        self,
        request: IngestRequest,
        collection: Collection,
        old: StoredState | None,
        content_sha256: str,
        deadline: Deadline,
        timer: StageTimer,
    ) -> _Prepared:
        with timer.stage("parse"):
            parsed = await self._parser.parse(request.file, deadline)
        deadline.check("chunking")
        title = request.title or _title_of(parsed, request.file.name)
        with timer.stage("chunk"):
            drafts = await to_thread.run_sync(self._chunk, parsed, title, collection.chunking)
        if not drafts:
            raise EmptyDocument(f"{request.file.name!r} holds no readable text.", name=request.file.name)
        if len(drafts) > self._settings.max_chunks_per_document:
            raise DocumentRejected(
                f"{request.file.name!r} would make {len(drafts)} chunks; at most "
                f"{self._settings.max_chunks_per_document} are taken (ingest.max_chunks_per_document).",
                name=request.file.name,
            )
        deadline.check("embedding")
        with timer.stage("embed"):
            chunks, embedded_count = await self._embed(parsed, title, drafts, old)
        return _Prepared(parsed, chunks, title, content_sha256, embedded_count)

    def _chunk(self, parsed: ParsedDocument, title: str, spec: ChunkingSpec) -> list[ChunkDraft]:
        return chunk(
            parsed, spec, self._embedder.tokens, title=title, window_tokens=self._embedder.max_tokens
        )

    async def _embed(
        self, parsed: ParsedDocument, title: str, drafts: Sequence[ChunkDraft], old: StoredState | None
    ) -> tuple[list[NewChunk], int]:
        texts = [embedding_text(title, draft.heading_path, draft.span.of(parsed.text)) for draft in drafts]
        hashes = [hashlib.sha256(text.encode()).digest() for text in texts]
        known: dict[bytes, bytes] = dict(await self._known_vectors(old))
        missing = {sha: text for sha, text in zip(hashes, texts, strict=True) if sha not in known}
        if missing:
            matrix = await self._embedder.embed_passages(list(missing.values()))
            rows = np.ascontiguousarray(matrix, dtype="<f4")
            known |= {sha: rows[at].tobytes() for at, sha in enumerate(missing)}
        chunks = [NewChunk(draft, sha, known[sha]) for draft, sha in zip(drafts, hashes, strict=True)]
        return chunks, len(missing)

    async def _known_vectors(self, old: StoredState | None) -> Mapping[bytes, bytes]:
        if old is None:
            return {}
        async with self._database.read() as connection:
            return await vectors_by_hash(connection, old.key)

    async def _write(self, request: IngestRequest, planned: Collection, prepared: _Prepared) -> Written:
        """Store what was prepared. Who owns the place is decided here, inside the transaction."""
        blob = None
        async with self._writer.change() as change:
            connection = change.connection
            collection, old = await self._locate(connection, request, prepared.content_sha256)
            collection = await create_collection(
                connection, planned if collection.version == 0 else collection
            )
            if request.is_original_kept:
                # Inside the write turn, so that nobody removes the file between here and the commit.
                blob = await to_thread.run_sync(self._blobs.put, request.file.content)
            new = _new_document(request, prepared, old, blob)
            key, version = await put_document(connection, collection.id, new, old)
            change.touch(collection.id, [key])
        if old is not None and old.blob_sha256 not in (None, blob):
            await self.drop_unused_blob(str(old.blob_sha256))
        return Written(
            "added" if old is None else "replaced",
            new.id,
            version,
            len(prepared.chunks),
            collection.name,
            change.version,
            tuple(prepared.parsed.warnings),
        )

    async def drop_unused_blob(self, sha256: str) -> None:
        """Remove an original that no document and no unfinished job names any more."""
        async with self._database.write() as connection:
            # Inside the write turn: no other write of this process can begin to use it meanwhile.
            waiting = {payload["blob"] for _, payload in await unfinished_jobs(connection)}
            if sha256 not in waiting and await count_blob_uses(connection, sha256) == 0:
                await to_thread.run_sync(self._blobs.remove, sha256)


def _new_document(
    request: IngestRequest, prepared: _Prepared, old: StoredState | None, blob: str | None
) -> NewDocument:
    parsed = prepared.parsed
    document_id = request.new_id or DocumentId(str(uuid7()))
    return NewDocument(
        id=document_id if old is None else old.id,
        tenant_id=request.principal.tenant_id,
        title=prepared.title,
        source=request.source if request.source is not None or old is None else old.source,
        media_type=parsed.media_type,
        language=parsed.language,
        content_sha256=prepared.content_sha256,
        blob_sha256=blob,
        size_bytes=len(request.file.content),
        text=parsed.text,
        pages=parsed.pages,
        sections=parsed.sections,
        chunks=prepared.chunks,
        metadata={**parsed.metadata, **_given_metadata(request, old)},
        access_groups=request.access_groups,
        warnings=parsed.warnings,
    )


def _given_metadata(request: IngestRequest, old: StoredState | None) -> Metadata:
    if request.metadata is not None:
        return request.metadata
    return {} if old is None else old.metadata


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _title_of(parsed: ParsedDocument, name: str) -> str:
    """The document's own title; for inline text without one, how it begins."""
    if name != INLINE_NAME:
        return parsed.title or PurePath(name).name or name
    if parsed.title and parsed.title != INLINE_NAME:
        return parsed.title
    first_line = next(line.strip() for line in parsed.text.splitlines() if line.strip())
    return first_line if len(first_line) <= LONGEST_MADE_TITLE else f"{first_line[: LONGEST_MADE_TITLE - 1]}…"
