"""Uploads that outlive their request: a job row, the original kept, work in the background."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog
from anyio import to_thread
from uuid6 import uuid7

from ragstone.cancellation import run_to_end
from ragstone.deadline import Deadline
from ragstone.errors import RagstoneError
from ragstone.ingest.request import IngestRequest
from ragstone.store.documents import find_by_id
from ragstone.store.jobs import LEASE_S, create_job, finish_job, get_job, renew_leases, take_abandoned_jobs
from ragstone.types import DocumentId, Job, JobId, Metadata, Principal, RawFile, TenantId, Written

if TYPE_CHECKING:
    from ragstone.service.documents import DocumentService
    from ragstone.store.blobs import Blobs
    from ragstone.store.database import Database

log = structlog.get_logger(__name__)

RENEW_S = LEASE_S / 3


@dataclass(frozen=True, slots=True)
class Accepted:
    """An upload that goes on in the background."""

    job_id: JobId
    document_id: DocumentId
    name: str


class UploadService:
    """Takes files in, in the background when they take longer than their caller waits."""

    def __init__(
        self, database: Database, documents: DocumentService, blobs: Blobs, concurrency: int
    ) -> None:
        self._database = database
        self._documents = documents
        self._blobs = blobs
        self._places = asyncio.Semaphore(concurrency)
        self._tasks: dict[asyncio.Task[None], JobId] = {}
        self._watching: asyncio.Task[None] | None = None

    async def upload(self, request: IngestRequest, wait_s: float) -> Written | Accepted:
        """Take a file in; after `wait_s` seconds it becomes a job and goes on by itself.

        Raises:
            DocumentRejected: it cannot be taken in; nothing was stored.
        """
        job_id = JobId(str(uuid7()))
        new_id = request.document_id or DocumentId(str(uuid7()))
        request = replace(request, new_id=new_id, job_id=job_id)
        work = asyncio.create_task(self._add(request))
        try:
            done, _ = await asyncio.wait([work], timeout=wait_s)
        except asyncio.CancelledError:
            work.cancel()
            raise
        if done:
            return work.result()
        await run_to_end(self._keep(job_id, request, new_id, work))
        return Accepted(job_id, new_id, request.file.name)

    async def job(self, job_id: JobId, tenant_id: TenantId) -> Job:
        """How an upload is doing.

        Raises:
            JobNotFound: there is no such job.
        """
        async with self._database.read() as connection:
            return await get_job(connection, tenant_id, job_id)

    def start(self) -> None:
        """Renew the leases of this process's jobs and take over abandoned ones, until closed."""
        self._watching = asyncio.create_task(self._watch())

    async def aclose(self, grace_s: float) -> None:
        """Give work in the background `grace_s` seconds, then leave it to the next start."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _add(self, request: IngestRequest) -> Written:
        """Uploads wait for a place here: thousands may be accepted, a few are worked on."""
        async with self._places:
            return await self._documents.add(request, Deadline.never())

    async def _watch(self) -> None:
        while True:
            try:
                async with self._database.write() as connection:
                    await renew_leases(connection, list(self._tasks.values()))
                    abandoned = await take_abandoned_jobs(connection)
            except Exception:  # a worker loop: the next round may do better
                log.exception("jobs_not_watched")
                abandoned = []
            for job, payload in abandoned:
                work = asyncio.create_task(self._again(job, payload))
                self._follow(job.id, job.document_id, str(payload["blob"]), work)
            await asyncio.sleep(RENEW_S)

    async def _keep(
        self, job_id: JobId, request: IngestRequest, document_id: DocumentId, work: asyncio.Task[Written]
    ) -> None:
        """From here on a row says that the work is to be done, whatever becomes of this process."""
        async with self._database.write() as connection:
            # Inside the write turn, so that nobody removes the file before the row that names it is there.
            blob = await to_thread.run_sync(self._blobs.put, request.file.content)
            replaced = None
            if request.document_id is not None:
                replaced = await find_by_id(connection, request.principal, request.document_id)
            payload = _payload(request, blob, None if replaced is None else replaced.version)
            tenant_id = request.principal.tenant_id
            await create_job(connection, job_id, tenant_id, document_id, request.file.name, payload)
        self._follow(job_id, document_id, blob, work)

    async def _again(self, job: Job, payload: Metadata) -> Written:
        async with self._places:
            content = await to_thread.run_sync(self._blobs.get, str(payload["blob"]))
            return await self._documents.add(_request(job, payload, content), Deadline.never())

    def _follow(self, job_id: JobId, document_id: DocumentId, blob: str, work: asyncio.Task[Written]) -> None:
        task = asyncio.create_task(self._finish(job_id, document_id, blob, work))
        self._tasks[task] = job_id
        task.add_done_callback(self._tasks.pop)

    async def _finish(
        self, job_id: JobId, document_id: DocumentId, blob: str, work: asyncio.Task[Written]
    ) -> None:
        error = None
        try:
            document_id = (await work).document_id
        except RagstoneError as failure:
            error = (failure.code, failure.message)
        except Exception:
            log.exception("upload_failed", job_id=job_id)
            error = ("internal", "Ragstone failed on this file; the log of the server has the details.")
        async with self._database.write() as connection:
            await finish_job(connection, job_id, document_id, error)
        await self._documents.drop_originals({blob})


def _payload(request: IngestRequest, blob: str, replaced_version: int | None) -> Metadata:
    return {
        "blob": blob,
        "name": request.file.name,
        "media_type": request.file.media_type,
        "collection": request.collection,
        "title": request.title,
        "source": request.source,
        "metadata": None if request.metadata is None else dict(request.metadata),
        "tenant_id": request.principal.tenant_id,
        "replaces": request.document_id,
        "replaced_version": replaced_version,
    }


def _request(job: Job, payload: Metadata, content: bytes) -> IngestRequest:
    metadata = payload["metadata"]
    return IngestRequest(
        file=RawFile(content, str(payload["name"]), _text(payload["media_type"])),
        collection=str(payload["collection"]),
        title=_text(payload["title"]),
        source=_text(payload["source"]),
        metadata=metadata if isinstance(metadata, dict) else None,
        document_id=job.document_id if payload["replaces"] else None,
        new_id=job.document_id,
        principal=Principal(TenantId(str(payload["tenant_id"]))),
        is_original_kept=True,
        job_id=job.id,
        expected_version=_number(payload["replaced_version"]),
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None
