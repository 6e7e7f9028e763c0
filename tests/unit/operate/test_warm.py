"""Warming gives way: to requests, to jobs, to whoever cancels it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.failures import Failures
from tests.support.questions import Tracked, open_tracked

from ragstone.analytics.asking import Asking
from ragstone.analytics.follow_ups import AskedLately
from ragstone.errors import CollectionNotFound
from ragstone.operate.ask_again import WarmingParts
from ragstone.operate.load import Load
from ragstone.operate.prefetch import Prefetcher
from ragstone.operate.warm import Warmer
from ragstone.settings import CacheSettings
from ragstone.types import LOCAL_OWNER, CacheUse, Principal

pytestmark = pytest.mark.anyio
LIMIT_S = 30.0


@dataclass
class Services:
    """Records what is asked again; `held` lets nothing end while it is not set."""

    asked: list[Asking] = field(default_factory=list)
    held: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    failing: str = ""
    cache: CacheUse = "miss"

    async def __call__(self, asking: Asking) -> CacheUse:
        self.asked.append(asking)
        self.begun.set()
        await self.held.wait()
        if asking.search.query == self.failing:
            raise CollectionNotFound("gone")
        return self.cache


@dataclass
class Jobs:
    """A worker that is as idle as the test says."""

    is_idle: bool = True


@pytest.fixture
async def tracked(tmp_path: Path) -> AsyncIterator[Tracked]:
    """Three questions, the first one the most asked."""
    async with open_tracked(tmp_path) as tracked:
        await tracked.store("a", "a", "a", "b", "b", "c")
        yield tracked


def warmer_on(tracked: Tracked, services: Services, load: Load, jobs: Jobs, **changed: object) -> Warmer:
    """A warmer that asks `services`."""
    parts = WarmingParts(tracked.database, services, load, jobs, tracked.metrics, Failures())
    settings = CacheSettings.model_validate(changed)
    return Warmer(parts, settings, Prefetcher(parts, AskedLately(), settings.prefetch_follow_ups))


async def until_asked(services: Services, count: int) -> None:
    """Until so many questions were asked again."""
    async with asyncio.timeout(LIMIT_S):
        while len(services.asked) < count:
            await services.begun.wait()
            services.begun.clear()


async def test_the_most_asked_come_first_one_at_a_time(tracked: Tracked) -> None:
    """While the first is being answered, the second is not asked."""
    services = Services()
    warmer = warmer_on(tracked, services, Load(), Jobs())
    running = warmer.begin("asked", 2)
    await until_asked(services, 1)

    assert [asking.search.query for asking in services.asked] == ["a"]
    assert warmer.status().is_running
    assert warmer.begin("schedule") is running, "one run at a time"
    services.held.set()
    run = await running

    assert [asking.search.query for asking in services.asked] == ["a", "b"]
    assert (run.state, run.reason, run.warmed) == ("done", "asked", 2)
    assert warmer.status().last == run


@pytest.mark.parametrize("kind", ["request", "job"])
async def test_it_waits_while_the_process_is_busy(tracked: Tracked, kind: str) -> None:
    """A request in flight or a job in hand: nothing is asked until they have ended."""
    services, load, jobs = Services(), Load(), Jobs(is_idle=kind == "request")
    services.held.set()
    warmer = warmer_on(tracked, services, load, jobs)
    with load.request() if kind == "request" else Load().request():
        running = warmer.begin("asked")
        async with asyncio.timeout(LIMIT_S):
            while (current := warmer.status().current) is None or current.planned < 3:  # noqa: ASYNC110
                await asyncio.sleep(0)
        await asyncio.wait([running], timeout=0.2)

        assert services.asked == []
        assert not running.done()
    jobs.is_idle = True
    run = await running

    assert (run.warmed, run.waited_s > 0) == (3, True)


async def test_a_cancelled_run_says_so_and_the_next_one_goes(tracked: Tracked) -> None:
    """Cancelled in the middle of a question; closing does the same."""
    services = Services()
    warmer = warmer_on(tracked, services, Load(), Jobs())
    assert not await warmer.cancel()
    warmer.begin("asked")
    await until_asked(services, 1)

    assert await warmer.cancel()

    last = warmer.status().last
    assert last is not None
    assert (last.state, last.warmed, last.planned) == ("cancelled", 0, 3)
    services.held.set()
    assert (await warmer.run()).state == "done"
    services.held.clear()
    warmer.begin("asked")
    await warmer.aclose()
    assert not warmer.status().is_running


async def test_a_caller_that_leaves_does_not_end_the_run(tracked: Tracked) -> None:
    """A client that waits for the run and goes away: the run goes on."""
    services = Services()
    warmer = warmer_on(tracked, services, Load(), Jobs())
    waiting = asyncio.create_task(warmer.run())
    await until_asked(services, 1)
    waiting.cancel()
    await asyncio.wait([waiting])
    services.held.set()

    assert (await warmer.run()).warmed == 3
    assert warmer.status().run_count == 1


async def test_failures_and_unknown_requests_are_counted(tracked: Tracked) -> None:
    """A question that fails does not end the run; one that was kept by another version is skipped."""
    services = Services(failing="b")
    services.held.set()
    async with tracked.database.write() as connection:
        await connection.exec_driver_sql("UPDATE queries SET request = '{}' WHERE question = 'c'")
    run = await warmer_on(tracked, services, Load(), Jobs()).run()

    assert (run.state, run.warmed, run.failed, run.skipped) == ("done", 1, 1, 1)


async def test_questions_are_asked_as_who_asked_them(tracked: Tracked) -> None:
    """With the tenant and the access groups of the asker, never with more."""
    hr = Principal(access_groups=frozenset({"hr"}))
    tracked.ask("d", "d", "d", "d", principal=hr)
    await tracked.tracker.flush()
    services = Services()
    services.held.set()

    await warmer_on(tracked, services, Load(), Jobs()).run()

    asked = {asking.search.query: asking.search.principal for asking in services.asked}
    assert asked == {"a": LOCAL_OWNER, "b": LOCAL_OWNER, "c": LOCAL_OWNER, "d": hr}
