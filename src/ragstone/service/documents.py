"""Documents and collections: add, replace, edit, remove, list, read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from ragstone.cancellation import run_to_end
from ragstone.deadline import Deadline
from ragstone.errors import ChunkNotFound, DocumentNotFound, InvalidRequest
from ragstone.ingest.attached import follow_edit
from ragstone.ingest.checkpoint import Checkpoint, NoCheckpoint
from ragstone.ingest.normalise import require_unicode
from ragstone.ingest.originals import Originals
from ragstone.ingest.pipeline import IngestPipeline
from ragstone.ingest.request import IngestRequest
from ragstone.service.described import DescribedDocuments
from ragstone.service.pages import (
    DocumentPage,
    DocumentQuery,
    check_limit,
    read_cursor,
    read_sort,
    write_cursor,
)
from ragstone.store.collections import require_collection
from ragstone.store.documents import (
    StoredState,
    edit_document,
    find_by_id,
    get_document,
    remove_document,
    states_of,
    with_attachments,
)
from ragstone.store.listing import Listing, list_documents
from ragstone.store.reading import read_around, read_passage
from ragstone.telemetry.stages import StageTimer
from ragstone.types import (
    LOCAL_OWNER,
    Document,
    DocumentId,
    Filter,
    Metadata,
    Passage,
    Principal,
    Receipt,
    RemovedDocument,
    Span,
    Written,
)

if TYPE_CHECKING:
    from ragstone.ingest.write import Writer
    from ragstone.store.database import Database
    from ragstone.telemetry.metrics import Metrics

FoundT = TypeVar("FoundT")

LARGEST_PASSAGE = 100_000


class DocumentService:
    """Everything about stored documents."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        pipeline: IngestPipeline,
        originals: Originals,
        metrics: Metrics,
        described: DescribedDocuments,
    ) -> None:
        self._database = database
        self._described = described
        self._writer = writer
        self._pipeline = pipeline
        self._originals = originals
        self._metrics = metrics

    async def add(
        self, request: IngestRequest, deadline: Deadline, checkpoint: Checkpoint | None = None
    ) -> Written:
        """Take a document in, or replace the one it names; searchable when this returns.

        What `checkpoint` has kept of an attempt before is not done again.

        Raises:
            DocumentRejected: it cannot be taken in; nothing was stored.
            DocumentNotFound: `request.document_id` names no live document.
            InvalidRequest: a title, source or name that is not Unicode text.
        """
        require_unicode(request.title, request.source, request.file.name)
        timer = StageTimer("ingest", self._metrics.observe_stage)
        written = await self._pipeline.run(request, deadline, timer, checkpoint or NoCheckpoint())
        self._metrics.documents_written.labels(written.status).inc()
        self._metrics.chunks_embedded.inc(written.embedded_count)
        self._metrics.ingested_bytes.inc(len(request.file.content))
        return written

    async def edit(
        self,
        document_id: DocumentId,
        title: str | None,
        metadata: Metadata | None,
        principal: Principal = LOCAL_OWNER,
    ) -> Document:
        """Change title or metadata without embedding anything.

        Raises:
            DocumentNotFound: no live document has this id.
        """
        async with self._writer.change() as change:
            old = _found(await find_by_id(change.connection, principal, document_id), document_id)
            fresh = old.metadata if metadata is None else metadata
            shown = old.title if title is None else title
            await edit_document(change.connection, old.key, shown, fresh)
            await follow_edit(change, old, shown, fresh)
            change.touch(old.collection_id, [old.key])
            # Within the turn: once it is over, a removal may come before a look at what was stored.
            edited = await get_document(change.connection, principal, document_id)
        return _found(edited, document_id)

    async def remove(self, document_id: DocumentId, principal: Principal = LOCAL_OWNER) -> Receipt:
        """Remove a document and its attachments: when this returns, their text is unreachable.

        What has begun is done to its end, also when the caller leaves.

        Raises:
            DocumentNotFound: no live document has this id.
        """
        return await run_to_end(self._remove(document_id, principal))

    async def _remove(self, document_id: DocumentId, principal: Principal) -> Receipt:
        async with self._writer.change() as change:
            old = _found(await find_by_id(change.connection, principal, document_id), document_id)
            states = await with_attachments(change.connection, [old])
            await remove_document(change.connection, old.key)
            change.touch(old.collection_id, [state.key for state in states])
        return await self.receipt(old.collection, states, change.version)

    async def remove_matching(
        self, collection: str, filter_: Filter, principal: Principal = LOCAL_OWNER
    ) -> Receipt:
        """Remove every document of a collection that a filter matches, with attachments, as `remove` does.

        Raises:
            CollectionNotFound: there is no such collection.
        """
        return await run_to_end(self._remove_matching(collection, filter_, principal))

    async def _remove_matching(self, collection: str, filter_: Filter, principal: Principal) -> Receipt:
        async with self._writer.change() as change:
            found = await require_collection(change.connection, principal.tenant_id, collection)
            matching = await states_of(change.connection, principal, found.id, filter_)
            states = await with_attachments(change.connection, matching)
            for state in states:
                await remove_document(change.connection, state.key)
            if states:
                change.touch(found.id, [state.key for state in states])
        return await self.receipt(collection, states, change.version or await self._database.corpus_version())

    async def receipt(self, collection: str, states: Sequence[StoredState], version: int) -> Receipt:
        """What was removed; the originals that nothing names any more are deleted first."""
        self._metrics.documents_written.labels("removed").inc(len(states))
        removed = tuple(
            RemovedDocument(state.id, state.title, state.source, state.version, state.chunk_count)
            for state in states
        )
        blobs = {state.blob_sha256 for state in states if state.blob_sha256 is not None}
        return Receipt(collection, removed, await self._originals.drop(blobs), version)

    async def get(self, document_id: DocumentId, principal: Principal = LOCAL_OWNER) -> Document:
        """One document without its text.

        Raises:
            DocumentNotFound: no live document has this id.
        """
        return _found(await self._described.get(document_id, principal), document_id)

    async def list(
        self,
        wanted: DocumentQuery | None = None,
        *,
        cursor: str | None = None,
        limit: int = 50,
        principal: Principal = LOCAL_OWNER,
    ) -> DocumentPage:
        """A page of documents, oldest first unless `wanted` says otherwise.

        Raises:
            InvalidRequest: a cursor that this server did not give, an unknown order, a limit out of range.
            CollectionNotFound: there is no such collection.
        """
        wanted = wanted or DocumentQuery()
        sort, is_descending = read_sort(wanted.sort)
        after = read_cursor(cursor, sort)
        check_limit(limit)
        async with self._database.read() as connection:
            found = None
            if wanted.collection is not None:
                found = (await require_collection(connection, principal.tenant_id, wanted.collection)).id
            listing = Listing(found, wanted.filter, sort, is_descending, after, limit + 1)
            documents = await list_documents(connection, principal, listing)
        page = documents[:limit]
        next_cursor = write_cursor(page[-1][1], sort) if len(documents) > limit else None
        return DocumentPage(tuple(document for document, _ in page), next_cursor)

    async def read(
        self, document_id: DocumentId, span: Span | None = None, principal: Principal = LOCAL_OWNER
    ) -> Passage:
        """Characters of a document: all of it, or a span cut to its length.

        Raises:
            DocumentNotFound: no live document has this id.
            InvalidRequest: the span ends before it starts, or is longer than `LARGEST_PASSAGE`.
        """
        wanted = span or Span(0, LARGEST_PASSAGE)
        if wanted.end < wanted.start or wanted.start < 0:
            raise InvalidRequest(
                f"A span from {wanted.start} to {wanted.end} holds nothing; give 0 <= start <= end."
            )
        if wanted.end - wanted.start > LARGEST_PASSAGE:
            raise InvalidRequest(
                f"At most {LARGEST_PASSAGE} characters are read at once; ask for smaller spans."
            )
        async with self._database.read() as connection:
            return _found(await read_passage(connection, principal, document_id, wanted), document_id)

    async def read_around(
        self, chunk_id: str, context_chars: int = 500, principal: Principal = LOCAL_OWNER
    ) -> Passage:
        """The chunk with up to `context_chars` characters before and after it.

        Raises:
            ChunkNotFound: no live chunk has this id.
        """
        async with self._database.read() as connection:
            passage = await read_around(connection, principal, chunk_id, context_chars)
        if passage is None:
            raise ChunkNotFound(chunk_id)
        return passage


def _found(one: FoundT | None, document_id: DocumentId) -> FoundT:
    if one is None:
        raise DocumentNotFound(document_id)
    return one
