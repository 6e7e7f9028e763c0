"""Keeping the queue in order: jobs of dead workers go on, ended ones are forgotten in time."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog
from anyio import to_thread

from ragstone.errors import DependencyFailed
from ragstone.store.database import now
from ragstone.store.job_rows import (
    ClaimedJob,
    JobAttempt,
    abandoned_jobs,
    get_job,
    unfinished_jobs,
)
from ragstone.store.jobs import fail_job, postpone_job, prune_jobs
from ragstone.telemetry.spans import OFF
from ragstone.types import JobId, Written

if TYPE_CHECKING:
    from ragstone.analytics.error_log import FailureSink
    from ragstone.deadline import Deadline
    from ragstone.ingest.checkpoint import Checkpoint, Checkpoints
    from ragstone.ingest.originals import Originals
    from ragstone.ingest.request import IngestRequest
    from ragstone.settings import IngestSettings
    from ragstone.store.database import Database, StoreConnection
    from ragstone.telemetry.metrics import Metrics
    from ragstone.telemetry.spans import Tracing

log = structlog.get_logger(__name__)

INTERRUPTED = "interrupted"


class Documents(Protocol):
    """What a worker asks of the service above it."""

    async def add(self, request: IngestRequest, deadline: Deadline, checkpoint: Checkpoint) -> Written:
        """Take a document in; see `DocumentService.add`."""
        ...


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """What a worker leans on."""

    database: Database
    documents: Documents
    originals: Originals
    checkpoints: Checkpoints
    metrics: Metrics
    note_failure: FailureSink
    tracing: Tracing = OFF


class JobUpkeep:
    """What every worker does beside its jobs."""

    def __init__(self, parts: WorkerParts, settings: IngestSettings) -> None:
        self._parts = parts
        self._settings = settings

    async def take_over(self, held: AbstractSet[JobId]) -> int:
        """Queue abandoned jobs again, but for those in our own hands; how many there were.

        One that ended its workers `ingest.max_attempts` times is given up: it may be what ends them.
        """
        async with self._parts.database.read() as connection:
            if not [claimed for claimed in await abandoned_jobs(connection) if claimed.job.id not in held]:
                return 0
        async with self._parts.database.write() as connection:
            found = [claimed for claimed in await abandoned_jobs(connection) if claimed.job.id not in held]
            given_up = [claimed for claimed in found if await self._is_given_up(connection, claimed)]
        self._parts.metrics.jobs_finished.labels("failed").inc(len(given_up))
        for claimed in found:
            await forget_if_over(self._parts, claimed)
        return len(found)

    async def _is_given_up(self, connection: StoreConnection, claimed: ClaimedJob) -> bool:
        failures = claimed.job.failures + 1
        stage = await to_thread.run_sync(self._parts.checkpoints.stage_of, claimed.job.id)
        log.warning("job_was_abandoned", job_id=claimed.job.id, stage=stage, failures=failures)
        message = f"Its worker ended or fell silent in the stage {stage!r} (failure {failures})."
        attempt = JobAttempt(claimed.lease.attempt, stage, now(), INTERRUPTED, message)
        lost = DependencyFailed(message)
        lost.code = INTERRUPTED
        self._parts.note_failure(lost, stage, service="worker", tenant_id=claimed.tenant_id)
        if failures < self._settings.max_attempts:
            await postpone_job(connection, claimed.lease, attempt, failures=failures, wait_s=0.0)
            return False
        return await fail_job(connection, claimed.lease, attempt, failures=failures, keeps_original=True)

    async def prune(self) -> None:
        """Forget jobs that ended `ingest.keep_jobs_s` ago; originals and checkpoints that nothing needs."""
        async with self._parts.database.write() as connection:
            blobs = await prune_jobs(connection, now(-self._settings.keep_jobs_s))
        await self._parts.originals.drop(blobs)
        await self._parts.originals.sweep()
        # Folders first: one made after this look belongs to a job that the second look finds.
        left = await to_thread.run_sync(self._parts.checkpoints.names)
        async with self._parts.database.read() as connection:
            open_jobs = await unfinished_jobs(connection)
        for job_id in left - open_jobs:
            await to_thread.run_sync(self._parts.checkpoints.drop, job_id)


async def forget_files(parts: WorkerParts, claimed: ClaimedJob) -> None:
    """The checkpoint of a job at its end, and its original when nothing needs it any more."""
    await to_thread.run_sync(parts.checkpoints.drop, claimed.job.id)
    await parts.originals.drop({claimed.blob_sha256})


async def forget_if_over(parts: WorkerParts, claimed: ClaimedJob) -> None:
    """The files of a job that was given up, cancelled, or gave way to a newer one.

    Otherwise it waits or another worker has it, and goes on from the checkpoint.
    """
    async with parts.database.read() as connection:
        job = await get_job(connection, claimed.tenant_id, claimed.job.id)
    if job.is_over:
        await forget_files(parts, claimed)
