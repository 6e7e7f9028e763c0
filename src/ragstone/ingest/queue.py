"""The way into the queue: the file on disk, the row committed, then the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from anyio import to_thread
from uuid6 import uuid7

from ragstone.cancellation import run_to_end
from ragstone.errors import DocumentNotFound
from ragstone.ingest.job_payload import payload_of
from ragstone.ingest.normalise import require_unicode
from ragstone.ingest.request import IngestRequest
from ragstone.store.collections import check_name, find_collections
from ragstone.store.documents import find_by_id, find_by_source
from ragstone.store.job_rows import is_queue_full
from ragstone.store.jobs import NewJob, create_job, queue_full, target_of
from ragstone.types import DocumentId, JobId, JobPriority

if TYPE_CHECKING:
    from ragstone.ingest.upkeep import WorkerParts
    from ragstone.settings import IngestSettings
    from ragstone.store.database import StoreConnection
    from ragstone.store.incoming import Incoming, IncomingFile


@dataclass(frozen=True, slots=True)
class Accepted:
    """A document that is taken in in the background."""

    job_id: JobId
    document_id: DocumentId
    name: str


class JobQueue:
    """Queues documents for the workers of every process."""

    def __init__(self, parts: WorkerParts, incoming: Incoming, settings: IngestSettings) -> None:
        self._database = parts.database
        self._originals = parts.originals
        self._incoming = incoming
        self._settings = settings

    async def check_room(self) -> None:
        """Go on only when one more job may wait: before a body is read, say.

        Raises:
            QueueFull: as many wait as may.
        """
        async with self._database.read() as connection:
            is_full = await is_queue_full(connection, self._settings.queue_max)
        if is_full:
            raise queue_full(self._settings.queue_max)

    async def receive(self) -> IncomingFile:
        """A file on disk to write an upload to; whoever asked for it closes it."""
        return await to_thread.run_sync(self._incoming.receive)

    async def enqueue(
        self,
        request: IngestRequest,
        *,
        priority: JobPriority = "bulk",
        source_name: str | None = None,
        incoming: IncomingFile | None = None,
    ) -> Accepted:
        """Queue a document; when this returns, it will be taken in whatever becomes of this process.

        With `incoming` the bytes are those received there, and `request.file.content` is not looked at.
        A job that still waits to make the same document is cancelled: this one came later.

        Raises:
            QueueFull: as many jobs wait as may.
            DocumentNotFound: `request.document_id` names no live document.
            InvalidRequest: a name that is no name, or no Unicode text.
        """
        require_unicode(request.title, request.source, request.file.name, source_name)
        check_name(request.collection)
        if incoming is not None:
            await to_thread.run_sync(incoming.seal)
        return await run_to_end(self._enqueue(request, priority, source_name, incoming))

    async def _enqueue(
        self,
        request: IngestRequest,
        priority: JobPriority,
        source_name: str | None,
        incoming: IncomingFile | None,
    ) -> Accepted:
        job_id = JobId(str(uuid7()))
        async with self._originals.dropping() as spare, self._database.write() as connection:
            document_id, version = await _place(connection, request)
            # Inside the write turn, so that nobody removes the file before the row that names it is there.
            if incoming is None:
                blob = await to_thread.run_sync(self._originals.blobs.put, request.file.content)
            else:
                blob = await to_thread.run_sync(self._originals.blobs.keep, incoming)
            spare.add(blob)
            new = NewJob(
                id=job_id,
                tenant_id=request.principal.tenant_id,
                document_id=document_id,
                name=request.file.name,
                collection=request.collection,
                target=target_of(
                    request.principal.tenant_id, request.collection, request.source, request.document_id
                ),
                replaced_version=version,
                priority=priority,
                source_name=source_name,
                blob_sha256=blob,
                size_bytes=len(request.file.content) if incoming is None else incoming.size_bytes,
                payload=payload_of(request),
            )
            spare |= await create_job(connection, new, self._settings.queue_max)
        return Accepted(job_id, document_id, request.file.name)


async def _place(connection: StoreConnection, request: IngestRequest) -> tuple[DocumentId, int | None]:
    """The document that the job will make, and the version it may replace: 0 for none, None for any."""
    if request.document_id is not None:
        found = await find_by_id(connection, request.principal, request.document_id)
        if found is None:
            raise DocumentNotFound(request.document_id)
        return found.id, found.version
    new_id = request.new_id or DocumentId(str(uuid7()))
    if request.source is None:
        return new_id, None
    places = await find_collections(connection, request.principal.tenant_id, (request.collection,))
    old = await find_by_source(connection, places[0].id, request.source) if places else None
    return (new_id, 0) if old is None else (old.id, old.version)
