"""Jobs as rows: uploads that outlive the request that brought them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import RowMapping, and_, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import JobNotFound
from ragstone.store.database import now
from ragstone.store.tables import jobs
from ragstone.types import DocumentId, Job, JobId, Metadata, TenantId

MOST_ATTEMPTS = 3
LEASE_S = 30.0
"""A job whose process has been silent for so long is begun again by another."""


async def create_job(
    connection: AsyncConnection,
    job_id: JobId,
    tenant_id: TenantId,
    document_id: DocumentId,
    name: str,
    payload: Metadata,
) -> None:
    """Store a running ingest job, leased to this process."""
    present = now()
    await connection.execute(
        insert(jobs).values(
            id=job_id,
            tenant_id=tenant_id,
            kind="ingest",
            state="running",
            stage="parse",
            document_id=document_id,
            name=name,
            payload=dict(payload),
            attempts=1,
            lease_until=now(LEASE_S),
            created_at=present,
            updated_at=present,
        )
    )


async def finish_job(
    connection: AsyncConnection, job_id: JobId, document_id: DocumentId, error: tuple[str, str] | None
) -> None:
    """Bring a running job to its end: ready, or failed with a code and a message; no job, no change."""
    code, message = error or (None, None)
    values = {
        "state": "failed" if error else "ready",
        "document_id": document_id,
        "error_code": code,
        "error_message": message,
        "updated_at": now(),
    }
    is_open = and_(jobs.c.id == job_id, jobs.c.state == "running")
    await connection.execute(update(jobs).where(is_open).values(values))


async def get_job(connection: AsyncConnection, tenant_id: TenantId, job_id: JobId) -> Job:
    """One job of the tenant.

    Raises:
        JobNotFound: there is none with this id.
    """
    statement = select(jobs).where(jobs.c.id == job_id, jobs.c.tenant_id == tenant_id)
    row = (await connection.execute(statement)).mappings().first()
    if row is None:
        raise JobNotFound(job_id)
    return _job(row)


async def renew_leases(connection: AsyncConnection, job_ids: Sequence[JobId]) -> None:
    """These jobs are still being worked on here."""
    values = {"lease_until": now(LEASE_S), "updated_at": now()}
    await connection.execute(update(jobs).where(jobs.c.id.in_(job_ids)).values(values))


async def take_abandoned_jobs(connection: AsyncConnection) -> list[tuple[Job, Metadata]]:
    """Running jobs whose process let its lease run out, now leased to this one, oldest first.

    One that was begun `MOST_ATTEMPTS` times is failed instead: it may be what ends the processes.
    """
    is_abandoned = and_(jobs.c.state == "running", jobs.c.lease_until < now())
    hopeless = {
        "state": "failed",
        "error_code": "internal",
        "error_message": f"The work was interrupted {MOST_ATTEMPTS} times; it is not begun again.",
        "updated_at": now(),
    }
    await connection.execute(
        update(jobs).where(is_abandoned, jobs.c.attempts >= MOST_ATTEMPTS).values(hopeless)
    )
    statement = select(jobs).where(is_abandoned).order_by(jobs.c.created_at)
    found = [(_job(row), row["payload"]) for row in (await connection.execute(statement)).mappings()]
    taken = {"lease_until": now(LEASE_S), "attempts": jobs.c.attempts + 1, "updated_at": now()}
    ids = [job.id for job, _ in found]
    await connection.execute(update(jobs).where(jobs.c.id.in_(ids)).values(taken))
    return found


async def unfinished_jobs(connection: AsyncConnection) -> list[tuple[Job, Metadata]]:
    """Jobs that are running or were left so, with their payloads, oldest first."""
    statement = select(jobs).where(jobs.c.state == "running").order_by(jobs.c.created_at)
    return [(_job(row), row["payload"]) for row in (await connection.execute(statement)).mappings()]


def _job(row: RowMapping) -> Job:
    return Job(
        id=JobId(row["id"]),
        state=row["state"],
        document_id=DocumentId(row["document_id"]),
        name=row["name"],
        collection=row["payload"].get("collection", ""),
        error_code=row["error_code"],
        error_message=row["error_message"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
