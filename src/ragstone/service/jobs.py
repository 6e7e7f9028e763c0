"""Jobs: queue a document, wait for it, look at what there is, cancel, try again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import UUID

from anyio import to_thread

from ragstone.analytics.error_log import noted
from ragstone.cancellation import run_to_end
from ragstone.deadline import Deadline
from ragstone.errors import InvalidRequest
from ragstone.ingest.job_payload import error_of_job, written_of
from ragstone.ingest.queue import Accepted, JobQueue
from ragstone.ingest.request import IngestRequest
from ragstone.service.pages import check_limit
from ragstone.store.job_rows import Job, get_job, list_jobs, queue_state, seconds_since, unfinished_jobs
from ragstone.store.jobs import cancel_job, retry_job
from ragstone.types import LOCAL_OWNER, JobId, JobPriority, JobState, Principal, Written

if TYPE_CHECKING:
    from ragstone.index.follower import IndexFollower
    from ragstone.ingest.checkpoint import Checkpoints
    from ragstone.ingest.upkeep import WorkerParts
    from ragstone.ingest.worker import JobWorker
    from ragstone.store.incoming import IncomingFile

LOOK_S = 0.25
LONGEST_LOOK_S = 2.0
"""A worker of this process tells by itself; the row is for those of others."""


@dataclass(frozen=True, slots=True)
class JobPage:
    """Jobs, newest first; `next_cursor` is None on the last page."""

    jobs: tuple[Job, ...]
    next_cursor: str | None


class JobService:
    """Everything about jobs. `worker` is the one of this process, which may have no places."""

    def __init__(
        self,
        parts: WorkerParts,
        worker: JobWorker,
        queue: JobQueue,
        follower: IndexFollower,
    ) -> None:
        self._database = parts.database
        self._originals = parts.originals
        self._checkpoints: Checkpoints = parts.checkpoints
        self._metrics = parts.metrics
        self._worker = worker
        self._queue = queue
        self._follower = follower

    async def check_room(self) -> None:
        """Go on only when one more job may wait; see `JobQueue.check_room`."""
        await self._queue.check_room()

    async def receive(self) -> IncomingFile:
        """A file on disk to write an upload to; whoever asked for it closes it."""
        return await self._queue.receive()

    async def enqueue(
        self,
        request: IngestRequest,
        *,
        priority: JobPriority = "bulk",
        source_name: str | None = None,
        incoming: IncomingFile | None = None,
    ) -> Accepted:
        """Queue a document; see `JobQueue.enqueue`."""
        accepted = await self._queue.enqueue(
            request, priority=priority, source_name=source_name, incoming=incoming
        )
        self._worker.wake()
        return accepted

    async def outcome(self, accepted: Accepted, deadline: Deadline) -> Written | Accepted:
        """What a queued document came to; `accepted` when that takes longer, or an outage holds it up.

        Raises:
            RagstoneError: why it was not taken in.
        """
        future = self._worker.expect(accepted.job_id)
        look_s = LOOK_S
        try:
            while True:
                if future.done():
                    if (written := future.result()) is not None:
                        return written
                    self._worker.forget(accepted.job_id)
                    future = self._worker.expect(accepted.job_id)
                # Before any wait: a job that ended before somebody expected it is told of by its row alone.
                job = await self.get(accepted.job_id)
                if job.state == "ready":
                    return written_of(job, self._follower.applied_version)
                if job.is_over:
                    error = error_of_job(job)
                    # The worker that failed it, here or elsewhere, has put that into the log of errors.
                    raise noted(error) if job.state == "failed" else error
                is_held_up = job.state == "queued" and job.attempts > 0
                if is_held_up or self._worker.is_ending or deadline.is_over:
                    return accepted
                await asyncio.wait([future], timeout=min(look_s, deadline.remaining_s))
                look_s = min(look_s * 1.5, LONGEST_LOOK_S)
        finally:
            self._worker.forget(accepted.job_id)

    async def wait(self, job_id: JobId, deadline: Deadline, principal: Principal = LOCAL_OWNER) -> Job:
        """The job at its end, or as it is when the time is used up.

        Raises:
            JobNotFound: there is no such job.
        """
        while True:
            job = await self.get(job_id, principal)
            if job.is_over or self._worker.is_ending or deadline.is_over:
                return job
            await asyncio.sleep(min(LOOK_S, deadline.remaining_s))

    async def events(self, job_id: JobId, principal: Principal = LOCAL_OWNER) -> AsyncGenerator[Job, None]:
        """The job now, at every change, and at its end; no longer than this process takes requests.

        Raises:
            JobNotFound: there is no such job.
        """
        seen: Job | None = None
        while True:
            job = await self.get(job_id, principal)
            # A renewed lease is no news.
            if seen is None or replace(job, updated_at=seen.updated_at) != seen:
                seen = job
                yield job
            if job.is_over or self._worker.is_ending:
                return
            await asyncio.sleep(LOOK_S)

    async def get(self, job_id: JobId, principal: Principal = LOCAL_OWNER) -> Job:
        """One job; when it is ready, its document is searchable in this process.

        Raises:
            JobNotFound: there is no such job.
        """
        async with self._database.read() as connection:
            job = await get_job(connection, principal.tenant_id, job_id)
        if job.state == "ready":
            await self._make_searchable()
        return job

    async def list(
        self,
        *,
        state: JobState | None = None,
        collection: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
        principal: Principal = LOCAL_OWNER,
    ) -> JobPage:
        """A page of jobs, newest first.

        Raises:
            InvalidRequest: a cursor that this server did not give, or a limit out of range.
        """
        check_limit(limit)
        before = _read_cursor(cursor)
        async with self._database.read() as connection:
            found = await list_jobs(
                connection,
                principal.tenant_id,
                state=state,
                collection=collection,
                before=before,
                limit=limit + 1,
            )
        page = tuple(found[:limit])
        if any(job.state == "ready" for job in page):
            await self._make_searchable()
        return JobPage(page, page[-1].id if len(found) > limit else None)

    async def cancel(self, job_id: JobId, principal: Principal = LOCAL_OWNER) -> Job:
        """Cancel a job; its document will not be stored, and who works on it stops within a second.

        Raises:
            JobNotFound: there is no such job.
            Conflict: it has come to its end.
        """
        return await run_to_end(self._cancel(job_id, principal))

    async def _cancel(self, job_id: JobId, principal: Principal) -> Job:
        async with self._database.write() as connection:
            job, blob = await cancel_job(connection, principal.tenant_id, job_id)
        if blob is not None:
            self._worker.release(job_id)
            await to_thread.run_sync(self._checkpoints.drop, job_id)
            await self._originals.drop({blob})
            self._metrics.jobs_finished.labels("cancelled").inc()
        return job

    async def retry(self, job_id: JobId, principal: Principal = LOCAL_OWNER) -> Job:
        """Queue a failed job again.

        Raises:
            JobNotFound: there is no such job.
            Conflict: it is not failed, or its original is not kept.
        """
        async with self._database.write() as connection:
            job = await retry_job(connection, principal.tenant_id, job_id)
        self._worker.wake()
        return job

    async def _make_searchable(self) -> None:
        """The row says ready from its commit on; the indexes of this process may be a moment behind."""
        await self._follower.catch_up(await self._database.corpus_version())

    async def drained(self) -> None:
        """Return when no job waits or runs, in any process."""
        while True:
            async with self._database.read() as connection:
                if not await unfinished_jobs(connection):
                    return
            await asyncio.sleep(LOOK_S)

    async def measure(self) -> None:
        """Bring the gauges of the queue up to date."""
        async with self._database.read() as connection:
            state = await queue_state(connection)
        oldest = state.oldest_queued_at
        self._metrics.observe_queue(state.counts, 0.0 if oldest is None else seconds_since(oldest))


def _read_cursor(cursor: str | None) -> JobId | None:
    if cursor is None:
        return None
    try:
        return JobId(str(UUID(cursor)))
    except ValueError as error:
        raise InvalidRequest(
            f"{cursor!r} is not a cursor; use the next_cursor of the page before.", cursor=cursor
        ) from error
