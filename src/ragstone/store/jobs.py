"""Jobs as rows: what is to be taken in, who works on it, how far it is, how it ended.

A worker holds a job by a lease. Every change of a running job names that lease, so that one who lost it (by
silence, or because the job was cancelled) changes nothing any more, the document least of all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TypeVar

from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import Conflict, QueueFull
from ragstone.store.database import now
from ragstone.store.job_rows import (
    PRIORITIES,
    ClaimedJob,
    Job,
    JobAttempt,
    Lease,
    claimed_of,
    get_job,
    get_with_blob,
    is_queue_full,
)
from ragstone.store.tables import jobs
from ragstone.types import DocumentId, JobId, JobPriority, JobStage, JobState, JsonValue, Metadata, TenantId

T = TypeVar("T")

BULK = PRIORITIES.index("bulk")
RETRY_AFTER_S = 5
ENDED: tuple[JobState, ...] = ("ready", "failed", "cancelled")
SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to queue."""

    id: JobId
    tenant_id: TenantId
    document_id: DocumentId
    name: str
    collection: str
    target: str | None
    replaced_version: int | None
    priority: JobPriority
    source_name: str | None
    blob_sha256: str
    size_bytes: int
    payload: Metadata


def target_of(
    tenant_id: TenantId, collection: str, source: str | None, replaced: DocumentId | None
) -> str | None:
    """What two jobs for the same document have in common; None when only the bytes would tell."""
    if replaced is not None:
        return str(replaced)
    if source is None:
        return None
    return hashlib.sha256(f"{tenant_id}\0{collection}\0{source}".encode()).hexdigest()


async def create_job(connection: AsyncConnection, new: NewJob, queue_max: int) -> set[str]:
    """Queue a job. Those that wait to make the same document are cancelled; the originals they kept.

    Raises:
        QueueFull: `queue_max` jobs wait.
    """
    superseded = await _supersede(connection, new)
    if await is_queue_full(connection, queue_max):
        raise queue_full(queue_max)
    present = now()
    values = asdict(new) | {
        "payload": dict(new.payload),
        "priority": PRIORITIES.index(new.priority),
        "kind": "ingest",
        "state": "queued",
        "stage": "parse",
        "attempts": 0,
        "run_after": present,
        "created_at": present,
        "updated_at": present,
    }
    await connection.execute(insert(jobs).values(values))
    return superseded


def queue_full(queue_max: int) -> QueueFull:
    """The refusal of one job too many."""
    return QueueFull(
        f"{queue_max} jobs wait already (ingest.queue_max); try again in {RETRY_AFTER_S} s, "
        "or start more workers with `ragstone worker`.",
        retry_after_s=RETRY_AFTER_S,
    )


@dataclass(frozen=True, slots=True)
class Choice:
    """Which jobs a worker may claim besides those it holds.

    A suspect has crashed or failed before. It runs alone, so that a file that ends its worker takes no
    innocent one along a second time.
    """

    may_be_bulk: bool = True
    may_be_suspect: bool = True


async def next_is_suspect(connection: AsyncConnection, choice: Choice) -> bool | None:
    """Whether the job that is due next is a suspect; None when none is due. Takes no lock."""
    wanted = _next_due(replace(choice, may_be_suspect=True), jobs.c.failures > 0)
    row = (await connection.execute(wanted)).first()
    return None if row is None else bool(row[0])


async def claim_job(
    connection: AsyncConnection, owner: str, lease_s: float, choice: Choice
) -> ClaimedJob | None:
    """Take the lease of the job that is due next, by priority and then by age; None when none is."""
    present = now()
    statement = (
        update(jobs)
        .where(jobs.c.id.in_(_next_due(choice, jobs.c.id).with_for_update(skip_locked=True)))
        .values(
            state="running",
            stage="parse",
            stage_done=0,
            stage_total=0,
            attempts=jobs.c.attempts + 1,
            lease_owner=owner,
            lease_until=now(lease_s),
            started_at=func.coalesce(jobs.c.started_at, present),
            updated_at=present,
        )
        .returning(jobs)
    )
    row = (await connection.execute(statement)).mappings().first()
    return None if row is None else claimed_of(row)


async def renew_lease(
    connection: AsyncConnection, lease: Lease, lease_s: float, stage: JobStage, progress: tuple[int, int]
) -> None:
    """This job is still being worked on, and so far."""
    values = {
        "lease_until": now(lease_s),
        "stage": stage,
        "stage_done": progress[0],
        "stage_total": progress[1],
        "updated_at": now(),
    }
    await connection.execute(update(jobs).where(_is_held(lease)).values(values))


async def finish_job(
    connection: AsyncConnection, lease: Lease, document_id: DocumentId, result: Mapping[str, JsonValue]
) -> None:
    """Bring a job to ready, inside the transaction that stores its document.

    Jobs that wait to replace the same version of the document may replace this one instead.

    Raises:
        Conflict: the lease is lost; the transaction must not be committed.
    """
    values = _ended("ready") | {
        "stage": "write",
        "document_id": document_id,
        "result": dict(result),
        "blob_sha256": None,
    }
    ended = update(jobs).where(_is_held(lease)).values(values)
    row = (await connection.execute(ended.returning(jobs.c.target, jobs.c.replaced_version))).first()
    if row is None:
        raise Conflict(f"Job {lease.job_id} was cancelled or taken over; its document is not stored.")
    if row.target is not None:
        followers = and_(
            jobs.c.target == row.target,
            jobs.c.state == "queued",
            jobs.c.replaced_version == row.replaced_version,
        )
        await connection.execute(update(jobs).where(followers).values(replaced_version=result["version"]))


async def fail_job(
    connection: AsyncConnection, lease: Lease, attempt: JobAttempt, *, failures: int, keeps_original: bool
) -> bool:
    """Bring a job to failed, with the reason and the stage; whether the lease still allowed it."""
    values = _ended("failed") | {
        "stage": attempt.stage,
        "failures": failures,
        "error_code": attempt.code,
        "error_message": attempt.message,
    }
    if not keeps_original:
        values["blob_sha256"] = None
    return await _end_attempt(connection, lease, attempt, values)


async def postpone_job(
    connection: AsyncConnection, lease: Lease, attempt: JobAttempt, *, failures: int, wait_s: float
) -> bool:
    """Queue a job again, due in `wait_s`; whether the lease still allowed it.

    It is cancelled instead when a newer job waits to make the same document.
    """
    newer = jobs.alias()
    row = await connection.execute(
        select(newer.c.id).where(
            newer.c.target == select(jobs.c.target).where(jobs.c.id == lease.job_id).scalar_subquery(),
            newer.c.state == "queued",
        )
    )
    if (winner := row.scalar()) is not None:
        return await _end_attempt(connection, lease, attempt, _superseded_by(JobId(winner)))
    values = {
        "state": "queued",
        "stage": attempt.stage,
        "failures": failures,
        "lease_owner": None,
        "lease_until": None,
        "run_after": now(wait_s),
        "updated_at": now(),
    }
    return await _end_attempt(connection, lease, attempt, values)


async def cancel_job(
    connection: AsyncConnection, tenant_id: TenantId, job_id: JobId
) -> tuple[Job, str | None]:
    """Cancel a queued or running job; the job and its original, which it needs no more.

    Whoever works on it finds its lease gone and stops. A cancelled job stays as it is.

    Raises:
        JobNotFound: there is none with this id.
        Conflict: it has come to its end.
    """
    job, blob = await get_with_blob(connection, tenant_id, job_id)
    if job.state in ("ready", "failed"):
        raise Conflict(f"Job {job_id} is {job.state} already; there is nothing left to cancel.")
    if job.state == "cancelled":
        return job, None
    is_it = and_(jobs.c.id == job_id, jobs.c.state.in_(("queued", "running")))
    await connection.execute(
        update(jobs).where(is_it).values(_ended("cancelled") | {"stage": job.stage, "blob_sha256": None})
    )
    return await get_job(connection, tenant_id, job_id), blob


async def retry_job(connection: AsyncConnection, tenant_id: TenantId, job_id: JobId) -> Job:
    """Queue a failed job again, with all its attempts before it.

    Raises:
        JobNotFound: there is none with this id.
        Conflict: it is not failed, or its original is not kept.
    """
    job, blob = await get_with_blob(connection, tenant_id, job_id)
    if job.state != "failed":
        raise Conflict(f"Job {job_id} is {job.state}; only a failed one is tried again.")
    if blob is None:
        raise Conflict(
            f"Job {job_id} failed for its file ({job.error_code}), which was not kept; "
            "mend the file and add it again."
        )
    present = now()
    values = {
        "state": "queued",
        "failures": 0,
        "error_code": None,
        "error_message": None,
        "started_at": None,
        "finished_at": None,
        "run_after": present,
        "updated_at": present,
    }
    await connection.execute(update(jobs).where(jobs.c.id == job_id).values(values))
    return await get_job(connection, tenant_id, job_id)


async def prune_jobs(connection: AsyncConnection, ended_before: str) -> set[str]:
    """Forget jobs that ended long ago; the originals that they kept."""
    is_old = and_(jobs.c.state.in_(ENDED), jobs.c.finished_at < ended_before)
    gone = await connection.execute(delete(jobs).where(is_old).returning(jobs.c.blob_sha256))
    return {str(name) for name in gone.scalars() if name is not None}


def _next_due(choice: Choice, column: ColumnElement[T]) -> Select[T]:
    """A column of the next job that is due and makes no document that another one is making."""
    running = jobs.alias()
    is_due = and_(jobs.c.state == "queued", jobs.c.run_after <= now())
    is_free = ~exists().where(running.c.target == jobs.c.target, running.c.state == "running")
    statement = select(column).where(is_due, is_free)
    if not choice.may_be_bulk:
        statement = statement.where(jobs.c.priority < BULK)
    if not choice.may_be_suspect:
        statement = statement.where(jobs.c.failures == 0)
    return statement.order_by(jobs.c.priority, jobs.c.id).limit(1)


def _is_held(lease: Lease) -> ColumnElement[bool]:
    return and_(
        jobs.c.id == lease.job_id,
        jobs.c.state == "running",
        jobs.c.lease_owner == lease.owner,
        jobs.c.attempts == lease.attempt,
    )


def _ended(state: JobState) -> dict[str, object]:
    present = now()
    return {
        "state": state,
        "lease_owner": None,
        "lease_until": None,
        "finished_at": present,
        "updated_at": present,
    }


def _superseded_by(winner: JobId) -> dict[str, object]:
    message = f"Job {winner} came later and takes in the same document."
    return _ended("cancelled") | {
        "error_code": SUPERSEDED,
        "error_message": message,
        "blob_sha256": None,
    }


async def _supersede(connection: AsyncConnection, new: NewJob) -> set[str]:
    """Cancel what waits to make the same document; the originals that are not needed for it any more."""
    if new.target is None:
        return set()
    is_older = and_(jobs.c.target == new.target, jobs.c.state == "queued")
    blobs = set((await connection.execute(select(jobs.c.blob_sha256).where(is_older))).scalars())
    if blobs:
        await connection.execute(update(jobs).where(is_older).values(_superseded_by(new.id)))
    return blobs


async def _end_attempt(
    connection: AsyncConnection, lease: Lease, attempt: JobAttempt, values: Mapping[str, object]
) -> bool:
    """Note how an attempt ended, beside what becomes of the job."""
    history = select(jobs.c.history).where(jobs.c.id == lease.job_id)
    noted = [*((await connection.execute(history)).scalar() or []), asdict(attempt)]
    statement = update(jobs).where(_is_held(lease)).values({**values, "history": noted})
    return (await connection.execute(statement.returning(jobs.c.id))).first() is not None
