"""parse > chunk > embed > write: one document from bytes to searchable."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from anyio import to_thread
from uuid6 import uuid7

from ragstone.cancellation import run_to_end
from ragstone.errors import DocumentNotFound
from ragstone.ingest.assemble import assemble, given_metadata
from ragstone.ingest.attached import Parent, follow_edit, require_no_attachment, write_attachments
from ragstone.ingest.checkpoint import Checkpoint
from ragstone.ingest.edit import edit_of, require_free_source, require_version
from ragstone.ingest.former import Former
from ragstone.ingest.job_payload import result_of
from ragstone.ingest.originals import Originals, content_hash
from ragstone.ingest.prepare import Earlier, Preparation, Prepared, Run, default_chunking
from ragstone.ingest.request import IngestRequest
from ragstone.search.legs import check_model
from ragstone.settings import IngestSettings
from ragstone.store.chunks import chunk_spans, vectors_by_hash
from ragstone.store.collections import check_name, create_collection, find_collections
from ragstone.store.documents import (
    StoredState,
    edit_document,
    find_by_content,
    find_by_id,
    find_by_source,
    keeps_chunks,
    put_document,
)
from ragstone.store.jobs import finish_job
from ragstone.store.passages import stored_text
from ragstone.types import (
    ChunkingSpec,
    Collection,
    CollectionId,
    Parser,
    Principal,
    Written,
)

if TYPE_CHECKING:
    from ragstone.deadline import Deadline
    from ragstone.ingest.write import Writer
    from ragstone.models.ports import Embedder
    from ragstone.store.database import Database, StoreConnection
    from ragstone.telemetry.stages import StageTimer


class IngestPipeline:
    """Takes documents in. Any number may run at once; the truth is written one at a time."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        parser: Parser,
        embedder: Embedder,
        originals: Originals,
        settings: IngestSettings,
    ) -> None:
        self._database = database
        self._writer = writer
        self._embedder = embedder
        self.preparation = Preparation(parser, embedder, settings)
        self._originals = originals
        self._settings = settings

    async def run(
        self, request: IngestRequest, deadline: Deadline, timer: StageTimer, checkpoint: Checkpoint
    ) -> Written:
        """Take one document in; it is searchable when this returns.

        Raises:
            DocumentRejected: it cannot be taken in; nothing was stored.
            DocumentNotFound: `document_id` names no live document.
            ModelMismatch: the collection belongs to another embedding model.
            DeadlineExceeded: the time is used up; nothing was stored.
            Conflict: something newer took the document's place, or the job is not this worker's any more.
        """
        check_name(request.collection)
        content_sha256 = await to_thread.run_sync(content_hash, request.file.content)
        async with self._database.read() as connection:
            collection, old = await self._locate(connection, request, content_sha256)
        if old is not None and old.content_sha256 == content_sha256:
            written = await self._edit(request, content_sha256)
            if written is not None:
                return written
        check_model(collection, self._embedder)
        earlier = await self._earlier(old)
        run = Run(timer, checkpoint)
        prepared = await self.preparation.prepare(request, collection.chunking, earlier, deadline, run)
        deadline.check("writing")
        async with run.stage("write"):
            return await self._write(request, collection, prepared, content_sha256)

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
        require_no_attachment(old)
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
            chunking=chunking or default_chunking(settings),
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
            edit = edit_of(request, old)
            if edit.source is not None:
                await require_free_source(change.connection, old, edit.source)
            status: Literal["unchanged", "updated"] = "unchanged" if edit.is_empty else "updated"
            written = Written(status, old.id, old.version, old.chunk_count, old.collection, 0)
            await _finish(change.connection, request, written)
            if not edit.is_empty:
                await edit_document(change.connection, old.key, edit.title, edit.metadata, edit.source)
                await follow_edit(change, old, edit.title, edit.metadata, edit.source)
                change.touch(old.collection_id, [old.key])
        return replace(written, corpus_version=change.version or await self._database.corpus_version())

    async def _earlier(self, old: StoredState | None) -> Earlier:
        if old is None:
            return Earlier()
        async with self._database.read() as connection:
            spans, text = await chunk_spans(connection, old.key), await stored_text(connection, old.key)
            return Earlier(await vectors_by_hash(connection, old.key), Former(text, spans))

    async def _write(
        self, request: IngestRequest, planned: Collection, prepared: Prepared, content_sha256: str
    ) -> Written:
        """Store what was prepared. Who owns the place is decided here, inside the transaction."""
        blob = None
        async with self._originals.dropping() as spare, self._writer.change() as change:
            connection = change.connection
            collection, old = await self._locate(connection, request, content_sha256)
            collection = await create_collection(
                connection, planned if collection.version == 0 else collection
            )
            if request.is_original_kept:
                # Inside the write turn, so that nobody removes the file between here and the commit.
                spare.add(content_sha256)
                blob = await run_to_end(to_thread.run_sync(self._originals.blobs.put, request.file.content))
            require_version(request, old)
            if old is not None and old.blob_sha256 is not None:
                spare.add(old.blob_sha256)
            new = assemble(request, prepared, old, content_sha256, blob)
            key, version = await put_document(connection, collection.id, new, old)
            if keeps_chunks(new, old):
                change.touch_chunks(collection.id, key)
            else:
                change.touch(collection.id, [key])
            parent = Parent(collection.id, key, new.id, new.title, new.source, given_metadata(request, old))
            written = Written(
                "added" if old is None else "replaced",
                new.id,
                version,
                len(prepared.chunks),
                collection.name,
                0,
                tuple(prepared.parsed.warnings),
                prepared.embedded_count,
                await write_attachments(change, request, parent, prepared),
            )
            await _finish(connection, request, written)
        return replace(written, corpus_version=change.version)


async def _finish(connection: StoreConnection, request: IngestRequest, written: Written) -> None:
    if request.lease is not None:
        await finish_job(connection, request.lease, written.document_id, result_of(written))
