"""The queue as rows: who gets which job, and that a lost lease can change nothing."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from tests.support.corpus import open_store
from uuid6 import uuid7

from ragstone.errors import Conflict, JobNotFound, QueueFull
from ragstone.store.database import MIGRATIONS, Database, now
from ragstone.store.job_rows import (
    ClaimedJob,
    Job,
    JobAttempt,
    abandoned_jobs,
    get_job,
    is_blob_of_job,
    job_blobs,
    lost_jobs,
    queue_state,
)
from ragstone.store.jobs import (
    Choice,
    NewJob,
    cancel_job,
    claim_job,
    create_job,
    fail_job,
    finish_job,
    next_is_suspect,
    postpone_job,
    prune_jobs,
    renew_lease,
    retry_job,
    target_of,
)
from ragstone.types import DEFAULT_TENANT, DocumentId, JobId, JobPriority, JsonValue, TenantId

pytestmark = pytest.mark.anyio

LEASE_S = 30.0
QUEUE_MAX = 100
ANY = Choice()
RESULT: dict[str, JsonValue] = {"status": "added", "version": 4}
ATTEMPT = JobAttempt(1, "embed", "2026-11-21", "embedding_failed", "The model is down.")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database."""
    async with open_store(tmp_path / "a.db") as database:
        yield database


async def test_jobs_go_by_priority_and_then_by_age(database: Database) -> None:
    """Interactive ones first; a worker that may take no more bulk leaves it."""
    bulk = [await queued(database, priority="bulk") for _ in range(2)]
    quick = [await queued(database) for _ in range(2)]

    order = [await claimed(database, Choice(may_be_bulk=n != 2)) for n in range(5)]

    ids = [None if one is None else one.job.id for one in order]
    assert ids == [quick[0], quick[1], None, bulk[0], bulk[1]]


async def test_two_processes_never_claim_one_job(tmp_path: Path) -> None:
    """Many claims at once from two databases objects on one file: each job once."""
    async with open_store(tmp_path / "a.db") as one, open_store(tmp_path / "a.db") as other:
        ids = [await queued(one) for _ in range(20)]

        found = await asyncio.gather(*(claimed(database) for _ in range(12) for database in (one, other)))

    taken = [claim.job.id for claim in found if claim is not None]
    assert sorted(taken) == sorted(ids)
    assert found.count(None) == 4


async def test_a_suspect_is_left_to_a_worker_with_empty_hands(database: Database) -> None:
    """A job that failed before is seen to be next, and not claimed beside others."""
    await queued(database)
    first = await taken(database)
    async with database.write() as connection:
        await postpone_job(connection, first.lease, ATTEMPT, failures=1, wait_s=0)

    async with database.read() as connection:
        is_suspect = await next_is_suspect(connection, Choice(may_be_suspect=False))

    assert is_suspect is True
    assert await claimed(database, Choice(may_be_suspect=False)) is None
    assert (await taken(database)).lease.attempt == 2


async def test_a_job_that_waits_for_its_turn_is_not_due(database: Database) -> None:
    """Postponed into the future, it is passed over, and keeps what happened."""
    job_id = await queued(database)
    first = await taken(database)

    async with database.write() as connection:
        await postpone_job(connection, first.lease, ATTEMPT, failures=0, wait_s=60)

    assert await claimed(database) is None
    job = await read(database, job_id)
    assert (job.state, job.stage, job.history) == ("queued", "embed", (ATTEMPT,))


async def test_a_lost_lease_changes_nothing(database: Database) -> None:
    """Cancelled, or taken over by another attempt: finishing raises, failing and renewing do nothing."""
    job_id = await queued(database)
    first = await taken(database)
    async with database.write() as connection:
        await postpone_job(connection, first.lease, ATTEMPT, failures=0, wait_s=0)
    second = await taken(database, owner="other")

    for lease in (first.lease, replace(second.lease, owner="w"), replace(second.lease, attempt=1)):
        with pytest.raises(Conflict, match="taken over"):
            async with database.write() as connection:
                await finish_job(connection, lease, DocumentId("d"), RESULT)
        async with database.write() as connection:
            assert not await fail_job(connection, lease, ATTEMPT, failures=1, keeps_original=True)
            await renew_lease(connection, lease, LEASE_S, "write", (1, 2))
    job = await read(database, job_id)
    assert (job.state, job.stage, job.attempts) == ("running", "parse", 2)
    async with database.read() as connection:
        assert await lost_jobs(connection, "other", {job_id}) == set()
        assert await lost_jobs(connection, "w", {job_id}) == {job_id}


async def test_a_job_that_is_ready_is_not_lost(database: Database) -> None:
    """Its worker still brings the indexes up to it and removes what it replaced: nobody may stop that."""
    job_id = await queued(database)
    done = await taken(database)
    async with database.write() as connection:
        await finish_job(connection, done.lease, DocumentId("d"), RESULT)

    async with database.read() as connection:
        assert await lost_jobs(connection, "w", {job_id}) == set()


async def test_of_one_target_one_runs_and_the_newest_waits(database: Database) -> None:
    """The older waiting one is cancelled; the one behind a running one may replace what that makes."""
    running = await queued(database, target="t", replaced_version=3)
    first = await taken(database)
    passed_over = await queued(database, target="t", replaced_version=3, blob="old")
    newest = await queued(database, target="t", replaced_version=3)

    assert await claimed(database) is None
    assert (await read(database, passed_over)).error_code == "superseded"
    async with database.write() as connection:
        await finish_job(connection, first.lease, DocumentId("d"), RESULT)
    second = await taken(database)
    assert (second.job.id, second.replaced_version) == (newest, 4)
    assert (await read(database, running)).state == "ready"
    async with database.read() as connection:
        assert await job_blobs(connection) == {"blob"}
        assert not await is_blob_of_job(connection, "old")


async def test_an_attempt_that_fails_gives_way_to_a_newer_job(database: Database) -> None:
    """Postponed while a newer one of its target waits, it is cancelled instead."""
    older = await queued(database, target="t")
    first = await taken(database)
    newer = await queued(database, target="t")

    async with database.write() as connection:
        await postpone_job(connection, first.lease, ATTEMPT, failures=0, wait_s=0)

    job = await read(database, older)
    assert (job.state, job.error_code) == ("cancelled", "superseded")
    assert newer in str(job.error_message)


async def test_a_silent_worker_is_found(database: Database) -> None:
    """By its lease, which renewing prolongs."""
    await queued(database)
    async with database.write() as connection:
        first = await claim_job(connection, "w", -1.0, ANY)
    assert first is not None

    async with database.read() as connection:
        (found,) = await abandoned_jobs(connection)
    async with database.write() as connection:
        await renew_lease(connection, first.lease, LEASE_S, "embed", (1, 2))

    assert found.lease == first.lease
    async with database.read() as connection:
        assert await abandoned_jobs(connection) == []


async def test_the_queue_is_bounded(database: Database) -> None:
    """What runs does not count."""
    await queued(database)
    await taken(database)
    await queued(database)

    with pytest.raises(QueueFull, match="1 jobs wait already") as refusal:
        await queued(database, queue_max=1)

    assert refusal.value.retryable
    async with database.read() as connection:
        assert (await queue_state(connection)).counts == {"running": 1, "queued": 1}


async def test_cancel_and_retry_fit_the_state(database: Database) -> None:
    """A queued job is cancelled, a failed one with its file tried again; anything else is refused."""
    cancelled_id = await queued(database)
    async with database.write() as connection:
        job, blob = await cancel_job(connection, DEFAULT_TENANT, cancelled_id)
        assert (job.state, blob) == ("cancelled", "blob")
    await queued(database)
    first = await taken(database)
    async with database.write() as connection:
        assert await fail_job(connection, first.lease, ATTEMPT, failures=3, keeps_original=True)
        with pytest.raises(Conflict, match="failed already"):
            await cancel_job(connection, DEFAULT_TENANT, first.job.id)
        with pytest.raises(Conflict, match="is cancelled"):
            await retry_job(connection, DEFAULT_TENANT, cancelled_id)
        with pytest.raises(JobNotFound):
            await retry_job(connection, TenantId("foreign"), first.job.id)
        retried = await retry_job(connection, DEFAULT_TENANT, first.job.id)

    assert (retried.state, retried.failures, retried.error_code) == ("queued", 0, None)
    assert retried.history == (ATTEMPT,)
    assert (await taken(database)).lease.attempt == 2


async def test_old_ended_jobs_are_forgotten(database: Database) -> None:
    """With the originals that they kept; open ones and fresh ones stay."""
    await queued(database, blob="failed")
    first = await taken(database)
    async with database.write() as connection:
        await fail_job(connection, first.lease, ATTEMPT, failures=1, keeps_original=True)
    waiting = await queued(database)

    async with database.write() as connection:
        assert await prune_jobs(connection, now(-60)) == set()
        assert await prune_jobs(connection, now(60)) == {"failed"}

    with pytest.raises(JobNotFound):
        await read(database, first.job.id)
    assert (await read(database, waiting)).state == "queued"


def test_targets_tell_documents_apart() -> None:
    """By id when one is replaced, else by tenant, collection and source; bytes alone name none."""
    ours, theirs = TenantId("t"), TenantId("ta")
    assert target_of(ours, "c", "s", DocumentId("d")) == "d"
    assert target_of(ours, "c", None, None) is None
    names = {
        target_of(tenant_id, collection, source, None)
        for tenant_id in (ours, theirs)
        for collection in "ab"
        for source in ("a", "b", "ab")
    }
    assert len(names) == 12


async def test_open_jobs_of_the_first_schema_go_on(tmp_path: Path) -> None:
    """A running upload of an older version is found abandoned, with its original and collection."""
    path = tmp_path / "a.db"
    migrate(path, "0001")
    payload = '{"blob": "beef", "collection": "c", "replaced_version": 7, "replaces": "d", "title": null}'
    with sqlite3.connect(path) as connection:
        for job_id, state in (("old", "running"), ("done", "ready")):
            connection.execute(
                "INSERT INTO jobs (id, tenant_id, kind, state, stage, document_id, name, payload, attempts,"
                " lease_until, created_at, updated_at) VALUES"
                " (?, 'default', 'ingest', ?, 'parse', 'd', 'a.md', ?, 1, '2020', '2020', '2021')",
                (job_id, state, payload),
            )
    connection.close()

    async with open_store(path) as database, database.read() as reading:
        (found,) = await abandoned_jobs(reading)
        done = await get_job(reading, DEFAULT_TENANT, JobId("done"))

    assert (found.job.id, found.job.collection, found.blob_sha256) == ("old", "c", "beef")
    assert found.replaced_version == 7
    assert (done.state, done.finished_at, done.is_original_kept) == ("ready", "2021", False)


def test_the_migration_can_be_taken_back(tmp_path: Path) -> None:
    """Down to the first schema and up again."""
    migrate(tmp_path / "a.db", "head")
    migrate(tmp_path / "a.db", "0001")
    migrate(tmp_path / "a.db", "head")


async def queued(
    database: Database,
    *,
    priority: JobPriority = "interactive",
    target: str | None = None,
    replaced_version: int | None = None,
    blob: str = "blob",
    queue_max: int = QUEUE_MAX,
) -> JobId:
    """The id of a new job."""
    job_id = JobId(str(uuid7()))
    new = NewJob(
        id=job_id,
        tenant_id=DEFAULT_TENANT,
        document_id=DocumentId("d"),
        name="a.md",
        collection="default",
        target=target,
        replaced_version=replaced_version,
        priority=priority,
        source_name=None,
        blob_sha256=blob,
        size_bytes=3,
        payload={"title": None},
    )
    async with database.write() as connection:
        await create_job(connection, new, queue_max)
    return job_id


async def claimed(database: Database, choice: Choice = ANY, owner: str = "w") -> ClaimedJob | None:
    """What a worker gets."""
    async with database.write() as connection:
        return await claim_job(connection, owner, LEASE_S, choice)


async def taken(database: Database, owner: str = "w") -> ClaimedJob:
    """The job that is due."""
    found = await claimed(database, owner=owner)
    assert found is not None
    return found


async def read(database: Database, job_id: JobId) -> Job:
    """A job."""
    async with database.read() as connection:
        return await get_job(connection, DEFAULT_TENANT, job_id)


def migrate(path: Path, revision: str) -> None:
    """Bring the database at `path` to a revision, up or down."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        if revision == "head" or not path.stat().st_size:
            command.upgrade(config, revision)
        else:
            command.downgrade(config, revision)
    engine.dispose()
