"""One sync of a source at a time, over all processes; how each went is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

import pytest
from sqlalchemy import update
from tests.support.failures import Failures
from tests.unit.ingest.sources.conftest import Bench, ListedSource

from ragstone.errors import SourceBusy, SourceFailed
from ragstone.ingest.sources.catalogue import FolderEntry
from ragstone.ingest.sources.ports import Listed
from ragstone.ingest.sources.runs import SyncRunner
from ragstone.ingest.sources.sync import SyncLimits
from ragstone.store.database import now
from ragstone.store.sources import KEPT_RUNS, SourceRun, source_runs_of, source_states
from ragstone.store.tables import sources
from ragstone.telemetry.metrics import Metrics
from ragstone.types import DEFAULT_TENANT

pytestmark = pytest.mark.anyio
ENTRY = FolderEntry(name="s", path=Path("/"))
LIMIT_S = 30.0


def runner_of(bench: Bench) -> SyncRunner:
    """A runner, as each process has one."""
    return SyncRunner(bench.intake.parts.database, bench.intake, SyncLimits(), Metrics("0"), Failures())


async def runs_of(bench: Bench) -> list[SourceRun]:
    """The runs, newest first."""
    async with bench.intake.parts.database.read() as connection:
        return await source_runs_of(connection, DEFAULT_TENANT, "s", 100)


class HeldSource(ListedSource):
    """A source whose listing waits until it is let go."""

    def __init__(self) -> None:
        super().__init__({"a": "one"})
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    async def items(self, known: Mapping[str, object]) -> AsyncGenerator[Listed, None]:
        """Wait, then list."""
        self.begun.set()
        await self.go.wait()
        async for listed in super().items({}):
            yield listed


async def test_a_second_run_is_refused_while_the_first_goes_on(bench: Bench) -> None:
    """Also by another process's runner; after the end it may begin."""
    first, second, source = runner_of(bench), runner_of(bench), HeldSource()
    task = asyncio.create_task(first.run(ENTRY, await first.begin(ENTRY), lambda: source))
    await asyncio.wait_for(source.begun.wait(), LIMIT_S)

    for runner in (first, second):
        with pytest.raises(SourceBusy, match="'s' is being synced already"):
            await runner.begin(ENTRY)
    source.go.set()

    assert (await asyncio.wait_for(task, LIMIT_S)).counts == {"added": 1}
    await second.run(ENTRY, await second.begin(ENTRY), lambda: ListedSource({"a": "one"}))
    assert [run.state for run in await runs_of(bench)] == ["done", "done"]


async def test_runs_that_fail_say_why(bench: Bench) -> None:
    """A source that cannot be listed, one that cannot even be opened, one that is cancelled."""
    runner = runner_of(bench)

    def refuse() -> ListedSource:
        raise SourceFailed("No way in.")

    failing = ListedSource({"a": "one"}, failure=SourceFailed("It went away."))
    listed = await runner.run(ENTRY, await runner.begin(ENTRY), lambda: failing)
    opened = await runner.run(ENTRY, await runner.begin(ENTRY), refuse)
    held = HeldSource()
    task = asyncio.create_task(runner.run(ENTRY, await runner.begin(ENTRY), lambda: held))
    await asyncio.wait_for(held.begun.wait(), LIMIT_S)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert (listed.state, listed.error_message) == ("failed", "It went away.")
    assert (opened.state, opened.error_code) == ("failed", "source_failed")
    states = [(run.state, run.error_message) for run in await runs_of(bench)]
    assert states[0] == ("failed", "The sync was interrupted; the next one takes up its work.")
    await runner.begin(ENTRY)


async def end_lease(bench: Bench) -> None:
    """What a minute of silence would do."""
    async with bench.intake.parts.database.write() as connection:
        await connection.execute(update(sources).values(lease_until="2000-01-01T00:00:00.000000+00:00"))


async def test_a_run_of_a_dead_process_is_taken_over(bench: Bench) -> None:
    """Once its lease is over; its account says that it was cut off."""
    runner = runner_of(bench)
    dead = await runner.begin(ENTRY)
    await end_lease(bench)

    await runner.begin(ENTRY)

    (_, cut_off) = await runs_of(bench)
    assert (cut_off.id, cut_off.state) == (dead, "failed")
    assert "process ended" in str(cut_off.error_message)


async def test_a_process_that_slept_stops_its_run(bench: Bench) -> None:
    """Woken after another run took the source, it writes nothing more and leaves that run alone."""
    database = bench.intake.parts.database
    sleeper = SyncRunner(database, bench.intake, SyncLimits(), Metrics("0"), Failures(), renew_s=0.05)
    held = HeldSource()
    task = asyncio.create_task(sleeper.run(ENTRY, await sleeper.begin(ENTRY), lambda: held))
    await asyncio.wait_for(held.begun.wait(), LIMIT_S)
    async with database.write() as connection:
        await connection.execute(update(sources).values(run_id="other", lease_until=now(60)))

    run = await asyncio.wait_for(task, LIMIT_S)

    assert (run.state, run.error_code) == ("failed", "conflict")
    assert await bench.sources() == {}
    with pytest.raises(SourceBusy):
        await sleeper.begin(ENTRY)


async def test_the_next_run_is_due_about_an_interval_later(bench: Bench) -> None:
    """Jittered by a tenth, stored for every process; old accounts are forgotten."""
    runner = runner_of(bench)
    entry = ENTRY.model_copy(update={"schedule": 1000})
    for _ in range(KEPT_RUNS + 3):
        before, after = now(900 - 1), now(1100 + 60)
        await runner.run(entry, await runner.begin(entry), ListedSource)

    async with bench.intake.parts.database.read() as connection:
        state = (await source_states(connection, DEFAULT_TENANT))["s"]
    assert state.next_run_at is not None and before < state.next_run_at < after
    assert len(await runs_of(bench)) == KEPT_RUNS
