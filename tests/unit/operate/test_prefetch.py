"""Prefetching: likely follow-ups only, as who asks, at rest, in time, one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.failures import Failures
from tests.support.questions import Tracked, open_tracked
from tests.unit.operate.test_warm import Jobs, Services

from ragstone.analytics.asked import Asked
from ragstone.analytics.asking import Asking
from ragstone.analytics.follow_ups import LATEST, AskedLately
from ragstone.operate.ask_again import WarmingParts
from ragstone.operate.load import Load
from ragstone.operate.prefetch import LONGEST_WAIT_S, Prefetcher
from ragstone.operate.warm import Warmer
from ragstone.settings import CacheSettings
from ragstone.telemetry.caller import Caller
from ragstone.types import LOCAL_OWNER, Principal, SearchRequest, TenantId

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("one_day")]

OTHER = Principal(TenantId("other"))
LIMIT_S = 30.0


class Clock:
    """Time as the test sets it."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Stage:
    """A prefetcher over what `price` was followed by: `delivery` most often, then `size`, then `colour`."""

    def __init__(self, tracked: Tracked, follow_ups: int) -> None:
        self.services, self.load, self.clock = Services(), Load(), Clock()
        self.services.held.set()
        self.failures = Failures()
        self.lately = AskedLately(self.clock)
        self.parts = WarmingParts(
            tracked.database, self.services, self.load, Jobs(), tracked.metrics, self.failures
        )
        self.prefetcher = Prefetcher(self.parts, self.lately, follow_ups)

    def ask(self, question: str, principal: Principal = LOCAL_OWNER) -> None:
        """A question was answered."""
        self.lately(Asked(Asking("search", SearchRequest(question, principal=principal)), {}, cache="miss"))

    @property
    def asked(self) -> list[str]:
        """What was asked ahead."""
        return [asking.search.query for asking in self.services.asked]

    async def until(self, look: Callable[[], bool]) -> None:
        """Until it is so."""
        async with asyncio.timeout(LIMIT_S):
            while not look():  # noqa: ASYNC110 (the prefetcher tells nobody)
                await asyncio.sleep(0.005)


@asynccontextmanager
async def staged(folder: Path, follow_ups: int = 3) -> AsyncIterator[Stage]:
    """The stage, its prefetcher running."""
    async with open_tracked(folder, prefetch_follow_ups=1) as tracked:
        for caller, principal in (("ann", LOCAL_OWNER), ("bob", OTHER)):
            known = ["delivery"] * 4 + ["size"] * 3 + ["colour"] * 2 if caller == "ann" else ["secret"] * 2
            for question in known:
                for one in ("price", question):
                    asking = Asking("search", SearchRequest(one, principal=principal))
                    tracked.tracker.record(asking, 1, Caller("http", client=caller))
        await tracked.tracker.flush()
        stage = Stage(tracked, follow_ups)
        running = asyncio.create_task(stage.prefetcher.run())
        yield stage
        running.cancel()
        await asyncio.wait([running])


@pytest.mark.parametrize("follow_ups", [1, 2, 3])
async def test_the_likeliest_are_asked_first_and_no_more_than_wanted(tmp_path: Path, follow_ups: int) -> None:
    """In the order of their counts."""
    async with staged(tmp_path, follow_ups) as stage:
        stage.ask("price")
        await stage.until(lambda: stage.prefetcher.status().warmed == follow_ups)

        assert stage.asked == ["delivery", "size", "colour"][:follow_ups]


async def test_what_others_ask_is_not_asked_for_one(tmp_path: Path) -> None:
    """The pairs of another tenant are its own, and asked as its own."""
    async with staged(tmp_path) as stage:
        stage.ask("price", OTHER)
        await stage.until(lambda: stage.prefetcher.status().warmed == 1)

        assert [(one.search.query, one.search.principal) for one in stage.services.asked] == [
            ("secret", OTHER)
        ]


async def test_it_waits_for_rest_and_comes_too_late(tmp_path: Path) -> None:
    """While a request is answered nothing is asked; after half a minute nothing is worth asking."""
    async with staged(tmp_path) as stage:
        with stage.load.request():
            stage.ask("price")
            await asyncio.sleep(0.1)
            assert stage.asked == []
            stage.clock.now_s = LONGEST_WAIT_S + 1
        await stage.until(lambda: stage.prefetcher.status().late == 1)

        assert stage.asked == []


async def test_questions_of_a_crowd_that_are_left_out_are_told(tmp_path: Path) -> None:
    """Only the latest ones wait."""
    async with staged(tmp_path) as stage:
        with stage.load.request():
            for number in range(LATEST + 5):
                stage.ask(f"{number}")

            assert stage.prefetcher.status().late == 5


async def test_what_lies_in_a_cache_is_not_counted_as_made(tmp_path: Path) -> None:
    """Then being found later is no merit of prefetching."""
    async with staged(tmp_path) as stage:
        stage.services.cache = "hit"
        stage.ask("price")
        await stage.until(lambda: stage.prefetcher.status().known == 3)
        stage.lately(Asked(Asking("search", SearchRequest("delivery")), {}, cache="hit"))

        assert (stage.prefetcher.status().warmed, stage.prefetcher.status().used) == (0, 0)


async def test_a_failure_ends_nothing_and_is_no_error_of_every_question(tmp_path: Path) -> None:
    """It is counted; what comes after it is asked."""
    async with staged(tmp_path) as stage:
        stage.services.failing = "delivery"
        stage.ask("price")
        await stage.until(lambda: stage.prefetcher.status().warmed == 2)

        assert stage.prefetcher.status().failed == 1
        assert stage.failures.noted == []


async def test_a_warming_and_a_prefetch_take_turns(tmp_path: Path) -> None:
    """One question is asked at a time, whoever asks."""
    async with staged(tmp_path, 1) as stage:
        warmer = Warmer(stage.parts, CacheSettings(), stage.prefetcher)
        stage.services.held.clear()
        stage.ask("price")
        await stage.until(lambda: len(stage.asked) == 1)
        warming = warmer.begin("asked")
        await stage.until(lambda: warmer.status().current is not None)
        await asyncio.sleep(0.1)

        assert stage.asked == ["delivery"]
        stage.services.held.set()
        assert (await warming).warmed == 6
