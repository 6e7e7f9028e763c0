"""Works on queued jobs: claims them by lease, runs a few at once, says how they ended.

Any number of workers, in any number of processes, share one queue. A job is claimed by one statement; the
transaction that stores its document ends it; whatever else befalls a worker, its lease runs out and the
next one goes on from the checkpoint.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import socket
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog
from anyio import to_thread

from ragstone.cancellation import end_tasks, run_to_end
from ragstone.deadline import Deadline
from ragstone.errors import RagstoneError
from ragstone.ingest.job_payload import origin_of, request_of
from ragstone.ingest.trouble import Rounds
from ragstone.ingest.upkeep import JobUpkeep, WorkerParts, forget_files, forget_if_over
from ragstone.ingest.verdict import Verdict, judge, spread
from ragstone.store.database import now
from ragstone.store.job_rows import ClaimedJob, JobAttempt, lost_jobs
from ragstone.store.jobs import Choice, claim_job, fail_job, next_is_suspect, postpone_job, renew_lease
from ragstone.telemetry.caller import bind_log_fields
from ragstone.types import JobId, Written

if TYPE_CHECKING:
    from ragstone.ingest.checkpoint import FileCheckpoint
    from ragstone.settings import IngestSettings
    from ragstone.telemetry.spans import Attributes

log = structlog.get_logger(__name__)

LOOK_S = 0.5
"""How often a worker looks for jobs that other processes queued, and whether it still holds its own."""
RENEW_S = 1.0
"""How often progress is written; leases are renewed no less than three times in their length."""
PRUNE_S = 300.0
HANDED_BACK = "handed_back"


@dataclass(slots=True)
class _Work:
    """A job in this worker's hands."""

    claimed: ClaimedJob
    checkpoint: FileCheckpoint
    task: asyncio.Task[None]
    began_s: float = field(default_factory=time.perf_counter)
    noted: tuple[str, int] = ("parse", 0)
    """Stage and progress as the row has them."""
    renewed_at_s: float = 0.0
    is_lost: bool = False


class JobWorker:
    """The worker of one process. `start` it once; `aclose` hands back what it cannot finish."""

    def __init__(self, parts: WorkerParts, settings: IngestSettings) -> None:
        self._parts = parts
        self._settings = settings
        self._upkeep = JobUpkeep(parts, settings)
        self._rounds = Rounds(parts.note_failure, "worker")
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self.is_ending = False
        """Whether it takes no more jobs."""
        self._places = 0
        self._held: dict[JobId, _Work] = {}
        self._loops: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()
        self._waiting: dict[JobId, asyncio.Future[Written | None]] = {}

    @property
    def has_places(self) -> bool:
        """Whether jobs that are queued here are worked on here."""
        return self._places > 0

    @property
    def is_idle(self) -> bool:
        """Whether no job is in its hands."""
        return not self._held

    def start(self, places: int) -> None:
        """Work on up to `places` jobs at once; with 0 it only keeps the queue in order."""
        self._places = places
        loops = [self._renew(), self._watch(), self._tidy()]
        if places:
            loops.append(self._claim())
        self._loops = [asyncio.create_task(loop) for loop in loops]

    def wake(self) -> None:
        """A job was queued here: look at once."""
        self._wake.set()

    def expect(self, job_id: JobId) -> asyncio.Future[Written | None]:
        """What the job's attempt here comes to: what it wrote, its error, or None when it goes on later."""
        return self._waiting.setdefault(job_id, asyncio.get_running_loop().create_future())

    def forget(self, job_id: JobId) -> None:
        """Nobody waits for the job here any more."""
        future = self._waiting.pop(job_id, None)
        if future is not None and not future.cancel() and not future.cancelled():
            future.exception()  # looked at, so that nobody warns

    def release(self, job_id: JobId) -> None:
        """The job was cancelled or taken over: stop working on it."""
        if (work := self._held.get(job_id)) is not None:
            work.is_lost = True
            work.task.cancel()

    def stop_claiming(self) -> None:
        """Take no more jobs; those in its hands go on, and nobody is kept waiting for one."""
        self.is_ending = True
        for loop in self._loops[3:]:
            loop.cancel()
        for job_id in self._waiting:
            self._tell(job_id, None)

    async def aclose(self, grace_s: float) -> None:
        """Claim no more, give running jobs `grace_s` seconds, hand the others back to the queue."""
        self.stop_claiming()
        await end_tasks(self._loops[3:])
        tasks = [work.task for work in self._held.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=grace_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await end_tasks(self._loops)

    async def _claim(self) -> None:
        while True:
            self._wake.clear()
            with self._rounds.round("claim"):
                while len(self._held) < self._places and await self._claim_one():
                    pass
            # Not wait_for: before Python 3.12 it swallows a cancellation that meets a wake-up, and a worker
            # that was told to end went on for ever.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._wake.wait()

    async def _claim_one(self) -> bool:
        """One place of several is kept for interactive jobs, so that they never wait for bulk to end."""
        held = [work.claimed.job for work in self._held.values()]
        if any(job.failures for job in held):
            return False
        bulk_count = sum(job.priority == "bulk" for job in held)
        choice = Choice(may_be_bulk=bulk_count < max(1, self._places - 1), may_be_suspect=not held)
        async with self._parts.database.read() as connection:
            is_suspect = await next_is_suspect(connection, choice)
        if is_suspect is None or (is_suspect and held):
            return False
        return await run_to_end(self._take(choice))

    async def _take(self, choice: Choice) -> bool:
        async with self._parts.database.write() as connection:
            claimed = await claim_job(connection, self.owner, self._settings.lease_s, choice)
        if claimed is None:
            return False
        job_id = claimed.job.id
        checkpoint = self._parts.checkpoints.of(job_id)
        task = asyncio.create_task(self._run(claimed, checkpoint))
        self._held[job_id] = _Work(claimed, checkpoint, task, renewed_at_s=asyncio.get_running_loop().time())
        return True

    async def _run(self, claimed: ClaimedJob, checkpoint: FileCheckpoint) -> None:
        told: Attributes = {"ragstone.job_id": claimed.job.id, "ragstone.attempt": claimed.lease.attempt}
        with self._parts.tracing.door("job", "consumer", told, link=origin_of(claimed)):
            await self._attempt(claimed, checkpoint)

    async def _attempt(self, claimed: ClaimedJob, checkpoint: FileCheckpoint) -> None:
        job_id = claimed.job.id
        bind_log_fields(job_id=job_id, attempt=claimed.lease.attempt)
        log.debug("job_begun")
        try:
            content = await to_thread.run_sync(self._parts.originals.blobs.get, claimed.blob_sha256)
            written = await self._parts.documents.add(
                request_of(claimed, content), Deadline.never(), checkpoint
            )
            await self._ended(claimed, written)
        except asyncio.CancelledError:
            await run_to_end(self._stopped(claimed, checkpoint))
            raise
        except RagstoneError as error:
            await self._failed(claimed, checkpoint, error)
        except Exception as error:
            log.exception("job_failed_unexpectedly")
            self._note(claimed, checkpoint, error)
            unexpected = RagstoneError(
                "Ragstone failed on this file; the log of the worker has the details under the job's id."
            )
            unexpected.__cause__ = error
            await self._failed(claimed, checkpoint, unexpected)
        finally:
            self._held.pop(job_id, None)
            self._wake.set()

    async def _ended(self, claimed: ClaimedJob, written: Written) -> None:
        """The document's transaction has ended the job; what is left is to clean up and to tell."""
        self._tell(claimed.job.id, written)
        self._count("ready", claimed.job.id)
        await forget_files(self._parts, claimed)

    def _count(self, outcome: str, job_id: JobId) -> None:
        metrics, work = self._parts.metrics, self._held.get(job_id)
        metrics.jobs_finished.labels(outcome).inc()
        if work is not None:
            metrics.job_seconds.labels(outcome).observe(time.perf_counter() - work.began_s)

    async def _stopped(self, claimed: ClaimedJob, checkpoint: FileCheckpoint) -> None:
        """Cancelled by somebody, taken over, or this process ends."""
        work = self._held.get(claimed.job.id)
        if work is not None and work.is_lost:
            log.info("job_stopped")
            self._tell(claimed.job.id, None)
            await forget_if_over(self._parts, claimed)
            return
        attempt = _attempt(claimed, checkpoint, HANDED_BACK, "The worker was stopped.")
        async with self._parts.database.write() as connection:
            failures = claimed.job.failures
            await postpone_job(connection, claimed.lease, attempt, failures=failures, wait_s=0.0)
        self._count("handed_back", claimed.job.id)
        self._tell(claimed.job.id, None)
        await forget_if_over(self._parts, claimed)

    async def _failed(self, claimed: ClaimedJob, checkpoint: FileCheckpoint, error: RagstoneError) -> None:
        """Try again what another time may mend; give up what will fail again."""
        attempt = _attempt(claimed, checkpoint, error.code, error.message)
        self._note(claimed, checkpoint, error)
        verdict = judge(claimed, error, self._settings)
        log.info("job_attempt_failed", code=error.code, stage=attempt.stage, is_over=verdict.is_over)
        try:
            was_held = await self._keep(claimed, attempt, verdict)
        except RagstoneError:
            # The lease runs out, and whoever finds the job decides.
            log.exception("job_failure_not_kept")
            was_held = False
        if was_held:
            outcome = "failed" if verdict.is_over else "postponed"
            self._count(outcome, claimed.job.id)
        self._tell(claimed.job.id, error if verdict.is_over and was_held else None)
        if verdict.is_over:
            await forget_files(self._parts, claimed)
        else:
            await forget_if_over(self._parts, claimed)

    def _note(self, claimed: ClaimedJob, checkpoint: FileCheckpoint, error: Exception) -> None:
        tenant_id = claimed.tenant_id
        self._parts.note_failure(error, checkpoint.stage, service="worker", tenant_id=tenant_id)

    async def _keep(self, claimed: ClaimedJob, attempt: JobAttempt, verdict: Verdict) -> bool:
        async with self._parts.database.write() as connection:
            if verdict.is_over:
                return await fail_job(
                    connection,
                    claimed.lease,
                    attempt,
                    failures=verdict.failures,
                    keeps_original=verdict.keeps_original,
                )
            wait_s = spread(verdict.wait_s)
            return await postpone_job(
                connection, claimed.lease, attempt, failures=verdict.failures, wait_s=wait_s
            )

    def _tell(self, job_id: JobId, outcome: Written | RagstoneError | None) -> None:
        future = self._waiting.get(job_id)
        if future is None or future.done():
            return
        if isinstance(outcome, RagstoneError):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    async def _renew(self) -> None:
        """Write down how far the jobs are, which also keeps their leases."""
        every_s = min(RENEW_S, self._settings.lease_s / 3)
        while True:
            await asyncio.sleep(every_s)
            present_s = asyncio.get_running_loop().time()
            due = [work for work in self._held.values() if self._is_renewal_due(work, present_s)]
            with self._rounds.round("renew"):
                if due:
                    await self._renew_these(due, present_s)

    async def _renew_these(self, due: Sequence[_Work], present_s: float) -> None:
        async with self._parts.database.write() as connection:
            for work in due:
                kept = work.checkpoint
                await renew_lease(
                    connection,
                    work.claimed.lease,
                    self._settings.lease_s,
                    kept.stage,
                    (kept.done, kept.total),
                )
                work.noted, work.renewed_at_s = (kept.stage, kept.done), present_s

    def _is_renewal_due(self, work: _Work, present_s: float) -> bool:
        has_moved = work.noted != (work.checkpoint.stage, work.checkpoint.done)
        return has_moved or present_s - work.renewed_at_s >= self._settings.lease_s / 3

    async def _watch(self) -> None:
        """Stop work on jobs that were cancelled or taken over; reads only, so that no write holds it up."""
        while True:
            await asyncio.sleep(LOOK_S)
            with self._rounds.round("watch"):
                for job_id in await self._lost():
                    self.release(job_id)

    async def _lost(self) -> Collection[JobId]:
        held = set(self._held)
        if not held:
            return ()
        async with self._parts.database.read() as connection:
            return await lost_jobs(connection, self.owner, held)

    async def _tidy(self) -> None:
        """Take over what dead workers left, forget what ended long ago."""
        loop = asyncio.get_running_loop()
        pruned_at_s = -math.inf
        while True:
            with self._rounds.round("tidy"):
                if await self._upkeep.take_over(frozenset(self._held)):
                    self._wake.set()
                await self._parts.originals.drop_left()
                if loop.time() - pruned_at_s >= PRUNE_S:
                    await self._upkeep.prune()
                    pruned_at_s = loop.time()
            await asyncio.sleep(max(LOOK_S, self._settings.lease_s / 6))


def _attempt(claimed: ClaimedJob, checkpoint: FileCheckpoint, code: str, message: str) -> JobAttempt:
    return JobAttempt(claimed.lease.attempt, checkpoint.stage, now(), code, message)
