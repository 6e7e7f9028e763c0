"""The way of a source's documents into the store: the same as everyone's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ragstone.deadline import Deadline
from ragstone.errors import DocumentNotFound, QueueFull
from ragstone.ingest.queue import Accepted

if TYPE_CHECKING:
    from ragstone.ingest.request import IngestRequest
    from ragstone.ingest.worker import JobWorker
    from ragstone.service.documents import DocumentService
    from ragstone.service.jobs import JobService
    from ragstone.types import DocumentId, Written

LOOK_S = 1.0


class JobIntake:
    """The `Intake` that makes each document a job of its own, behind everything that somebody waits for.

    Where this process works on no jobs, as in a command without a server, the document is taken in at once.
    """

    def __init__(self, documents: DocumentService, jobs: JobService, worker: JobWorker) -> None:
        self._documents = documents
        self._jobs = jobs
        self._worker = worker

    async def submit(self, request: IngestRequest) -> Written:
        """Take a document in; see `Intake`. Cancelled, it leaves the job to the queue."""
        if not self._worker.has_places:
            return await self._documents.add(request, Deadline.never())
        accepted = await self._queued(request)
        while True:
            outcome = await self._jobs.outcome(accepted, Deadline.never())
            if not isinstance(outcome, Accepted):
                return outcome
            await asyncio.sleep(LOOK_S)  # an outage holds the job up; it is tried again by itself

    async def remove(self, document_id: DocumentId) -> None:
        """Remove a document; see `Intake`."""
        try:
            await self._documents.remove(document_id)
        except DocumentNotFound:
            return

    async def _queued(self, request: IngestRequest) -> Accepted:
        while True:
            try:
                return await self._jobs.enqueue(request)
            except QueueFull:
                await asyncio.sleep(LOOK_S)
