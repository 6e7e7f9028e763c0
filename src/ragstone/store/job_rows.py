"""Jobs as rows, to be read: one, a page, the whole queue in numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import RowMapping, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import JobNotFound
from ragstone.store.database import now
from ragstone.store.tables import jobs
from ragstone.types import (
    DocumentId,
    JobId,
    JobPriority,
    JobStage,
    JobState,
    JsonValue,
    Metadata,
    TenantId,
)

PRIORITIES: tuple[JobPriority, ...] = ("interactive", "bulk")
"""Rows hold the position: less goes first."""


@dataclass(frozen=True, slots=True)
class JobAttempt:
    """One attempt at a job that did not bring it to its end: where it stopped, and why."""

    number: int
    stage: JobStage
    ended_at: str
    code: str
    """An error code, `interrupted` for a process that died, `handed_back` for one that was stopped."""
    message: str


@dataclass(frozen=True, slots=True)
class Job:
    """Background work; `state` always reaches ready, failed or cancelled.

    `stage` is the one that runs or, of a failed job, the one it failed in; `done` of `total` chunks are
    embedded (0 of 0 outside that stage). `failures` counts the attempts that may be the file's own fault.
    """

    id: JobId
    state: JobState
    stage: JobStage
    done: int
    total: int
    priority: JobPriority
    document_id: DocumentId
    name: str
    collection: str
    source_name: str | None
    size_bytes: int
    attempts: int
    failures: int
    history: tuple[JobAttempt, ...]
    """Attempts that ended early, oldest first."""
    result: Mapping[str, JsonValue] | None
    """What a ready job's write did."""
    error_code: str | None
    error_message: str | None
    is_original_kept: bool
    """Whether the file is still there to try again."""
    run_after: str
    """When a queued job is due."""
    created_at: str
    started_at: str | None
    finished_at: str | None
    updated_at: str

    @property
    def is_over(self) -> bool:
        """Whether the state is terminal."""
        return self.state in ("ready", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on a job: one attempt of one worker."""

    job_id: JobId
    owner: str
    attempt: int


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job with what its worker must know to do it."""

    job: Job
    tenant_id: TenantId
    lease: Lease
    payload: Metadata
    blob_sha256: str
    replaced_version: int | None


@dataclass(frozen=True, slots=True)
class QueueState:
    """How many jobs there are by state, and since when the oldest one waits."""

    counts: Mapping[JobState, int]
    oldest_queued_at: str | None


async def get_job(connection: AsyncConnection, tenant_id: TenantId, job_id: JobId) -> Job:
    """One job of the tenant.

    Raises:
        JobNotFound: there is none with this id.
    """
    return (await get_with_blob(connection, tenant_id, job_id))[0]


async def list_jobs(
    connection: AsyncConnection,
    tenant_id: TenantId,
    *,
    state: JobState | None,
    collection: str | None,
    before: JobId | None,
    limit: int,
) -> list[Job]:
    """Up to `limit` jobs older than `before`, newest first."""
    statement = select(jobs).where(jobs.c.tenant_id == tenant_id)
    if state is not None:
        statement = statement.where(jobs.c.state == state)
    if collection is not None:
        statement = statement.where(jobs.c.collection == collection)
    if before is not None:
        statement = statement.where(jobs.c.id < before)
    rows = await connection.execute(statement.order_by(jobs.c.id.desc()).limit(limit))
    return [job_of(row) for row in rows.mappings()]


async def queue_state(connection: AsyncConnection) -> QueueState:
    """The whole table in numbers."""
    grouped = select(jobs.c.state, func.count()).group_by(jobs.c.state)
    counts = {row[0]: row[1] for row in (await connection.execute(grouped)).all()}
    oldest = select(func.min(jobs.c.created_at)).where(jobs.c.state == "queued")
    return QueueState(counts, (await connection.execute(oldest)).scalar())


async def is_queue_full(connection: AsyncConnection, queue_max: int) -> bool:
    """Whether `queue_max` jobs wait; looks at no more rows than that."""
    waiting = select(jobs.c.id).where(jobs.c.state == "queued").limit(queue_max).subquery()
    return (await connection.execute(select(func.count()).select_from(waiting))).scalar_one() >= queue_max


async def lost_jobs(connection: AsyncConnection, owner: str, held: Collection[JobId]) -> set[JobId]:
    """Those of the jobs in a worker's hands that were cancelled or taken over.

    One that has become ready is not: its worker is catching up or cleaning up after it.
    """
    is_kept = or_(jobs.c.state == "ready", and_(jobs.c.state == "running", jobs.c.lease_owner == owner))
    kept = select(jobs.c.id).where(jobs.c.id.in_(held), is_kept)
    return set(held) - {JobId(name) for name in (await connection.execute(kept)).scalars()}


async def abandoned_jobs(connection: AsyncConnection) -> list[ClaimedJob]:
    """Running jobs whose worker let the lease run out."""
    statement = select(jobs).where(jobs.c.state == "running", jobs.c.lease_until < now())
    return [claimed_of(row) for row in (await connection.execute(statement)).mappings()]


async def job_blobs(connection: AsyncConnection) -> set[str]:
    """The originals that jobs keep."""
    kept = select(jobs.c.blob_sha256).where(jobs.c.blob_sha256.is_not(None)).distinct()
    return {str(name) for name in (await connection.execute(kept)).scalars()}


async def is_blob_of_job(connection: AsyncConnection, blob_sha256: str) -> bool:
    """Whether a job keeps this original."""
    kept = select(jobs.c.id).where(jobs.c.blob_sha256 == blob_sha256).limit(1)
    return (await connection.execute(kept)).first() is not None


async def unfinished_jobs(connection: AsyncConnection) -> set[JobId]:
    """The jobs that wait or run."""
    found = await connection.execute(select(jobs.c.id).where(jobs.c.state.in_(("queued", "running"))))
    return {JobId(name) for name in found.scalars()}


def seconds_since(moment: str) -> float:
    """How long ago a stored time is."""
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()


async def get_with_blob(
    connection: AsyncConnection, tenant_id: TenantId, job_id: JobId
) -> tuple[Job, str | None]:
    """One job and the original that it keeps.

    Raises:
        JobNotFound: there is none with this id.
    """
    statement = select(jobs).where(jobs.c.id == job_id, jobs.c.tenant_id == tenant_id)
    row = (await connection.execute(statement)).mappings().first()
    if row is None:
        raise JobNotFound(job_id)
    return job_of(row), row["blob_sha256"]


def claimed_of(row: RowMapping) -> ClaimedJob:
    """A running job."""
    return ClaimedJob(
        job=job_of(row),
        tenant_id=TenantId(row["tenant_id"]),
        lease=Lease(JobId(row["id"]), row["lease_owner"], row["attempts"]),
        payload=row["payload"],
        blob_sha256=row["blob_sha256"],
        replaced_version=row["replaced_version"],
    )


def job_of(row: RowMapping) -> Job:
    """A job."""
    return Job(
        id=JobId(row["id"]),
        state=row["state"],
        stage=row["stage"],
        done=row["stage_done"],
        total=row["stage_total"],
        priority=PRIORITIES[row["priority"]],
        document_id=DocumentId(row["document_id"]),
        name=row["name"],
        collection=row["collection"],
        source_name=row["source_name"],
        size_bytes=row["size_bytes"],
        attempts=row["attempts"],
        failures=row["failures"],
        history=tuple(JobAttempt(**attempt) for attempt in row["history"] or ()),
        result=row["result"],
        error_code=row["error_code"],
        error_message=row["error_message"],
        is_original_kept=row["blob_sha256"] is not None,
        run_after=row["run_after"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        updated_at=row["updated_at"],
    )
