"""Equal work is done once: whoever comes, leaves or runs out of time in whatever order."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest
from tests.support.waiting import turns

from ragstone.cache.single_flight import Flights
from ragstone.deadline import Deadline
from ragstone.errors import DeadlineExceeded, GeneratorFailed

pytestmark = pytest.mark.anyio
NEVER = Deadline.never()


@dataclass
class Work:
    """Says a and b, the second one when the gate opens; counts how often it is begun and cut off."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    begun: int = 0
    stopped: int = 0
    error: Exception | None = None

    async def run(self) -> AsyncGenerator[str, None]:
        """The work."""
        self.begun += 1
        try:
            yield "a"
            await self.gate.wait()
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        if self.error is not None:
            raise self.error
        yield "b"


class HandClock:
    """A clock that stands still until it is set."""

    now_s = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now_s


async def follow(flights: Flights[str], work: Work, deadline: Deadline = NEVER) -> list[str]:
    """All that the flight says."""
    async with (
        flights.join("key", work.run, deadline) as (flight, _),
        aclosing(flight.items(deadline)) as items,
    ):
        return [item async for item in items]


async def test_equal_work_is_done_once_for_everybody() -> None:
    """200 at once, and one more when half of it is said: all hear it from the beginning."""
    flights, work = Flights[str](), Work()
    following = [asyncio.ensure_future(follow(flights, work)) for _ in range(200)]
    await turns()
    following.append(asyncio.ensure_future(follow(flights, work)))
    work.gate.set()

    said = await asyncio.gather(*following)

    assert said == [["a", "b"]] * 201
    assert work.begun == 1


async def test_other_work_is_not_waited_for() -> None:
    """Another key is another flight, and the same key after the end, too."""
    flights, work = Flights[str](), Work()
    async with flights.join("one", work.run, NEVER), flights.join("two", work.run, NEVER) as (_, is_shared):
        await turns()
        assert not is_shared
    work.gate.set()

    assert [await follow(flights, work) for _ in range(2)] == [["a", "b"]] * 2
    assert work.begun == 4


async def test_a_first_asker_who_leaves_strands_nobody() -> None:
    """The work goes on for those who came later."""
    flights, work = Flights[str](), Work()
    first, second = (asyncio.ensure_future(follow(flights, work)) for _ in range(2))
    await turns()
    first.cancel()
    await asyncio.wait([first])
    work.gate.set()

    assert await second == ["a", "b"]
    assert (work.begun, work.stopped) == (1, 0)


async def test_the_last_one_who_leaves_stops_the_work() -> None:
    """And whoever comes after that begins it anew."""
    flights, work = Flights[str](), Work()
    leaving = [asyncio.ensure_future(follow(flights, work)) for _ in range(3)]
    await turns()
    for one in leaving[:2]:
        one.cancel()
    await turns()
    assert work.stopped == 0

    leaving[2].cancel()
    await asyncio.wait(leaving)

    assert work.stopped == 1
    work.gate.set()
    assert await follow(flights, work) == ["a", "b"]
    assert work.begun == 2


async def test_whoever_comes_while_the_work_is_being_stopped_begins_anew() -> None:
    """What was given up is joined by nobody."""
    flights, work = Flights[str](), Work()
    leaving = asyncio.ensure_future(follow(flights, work))
    await turns()
    leaving.cancel()
    coming = asyncio.ensure_future(follow(flights, work))
    await turns()
    work.gate.set()

    assert await coming == ["a", "b"]
    assert (work.begun, work.stopped) == (2, 1)


async def test_an_error_reaches_everyone() -> None:
    """After what was said before it."""
    flights, work = Flights[str](), Work(error=GeneratorFailed("No."))
    following = [asyncio.ensure_future(follow(flights, work)) for _ in range(3)]
    await turns()
    work.gate.set()

    ends = await asyncio.gather(*following, return_exceptions=True)

    assert [type(end) for end in ends] == [GeneratorFailed] * 3
    assert work.begun == 1


async def test_everyone_waits_within_a_deadline_of_their_own() -> None:
    """One whose time is over is told so; the other one hears the end."""
    flights, work, clock = Flights[str](), Work(), HandClock()
    short, long = Deadline.after(0.01, clock), Deadline.after(0.013, clock)
    patient = asyncio.ensure_future(follow(flights, work, long))
    hasty = asyncio.ensure_future(follow(flights, work, short))
    await turns()
    clock.now_s = 0.012

    with pytest.raises(DeadlineExceeded, match=r"0\.01 s given"):
        await hasty
    work.gate.set()
    assert await patient == ["a", "b"]
    assert (work.begun, work.stopped) == (1, 0)


async def test_work_with_too_little_time_left_is_not_joined() -> None:
    """It would end by the time of whoever began it; what is begun anew is what the next ones join."""
    flights, work, clock = Flights[str](), Work(), HandClock()
    first = asyncio.ensure_future(follow(flights, work, Deadline.after(100, clock)))
    await turns()
    clock.now_s = 26
    others = [asyncio.ensure_future(follow(flights, work, Deadline.after(100, clock))) for _ in range(2)]
    await turns()
    work.gate.set()

    assert await asyncio.gather(first, *others) == [["a", "b"]] * 3
    assert work.begun == 2


async def test_nothing_is_left_of_a_flight() -> None:
    """Neither after its end nor after it was stopped nor after an error."""
    flights = Flights[str]()
    kept: list[weakref.ref[object]] = []
    for outcome in ("ends", "is stopped", "fails"):
        work = Work(error=GeneratorFailed("No.") if outcome == "fails" else None)
        if outcome != "is stopped":
            work.gate.set()
        async with flights.join(outcome, work.run, NEVER) as (flight, _):
            kept.append(weakref.ref(flight))
            await turns()
        del flight, work
    await turns()
    gc.collect()

    assert [one() for one in kept] == [None] * 3
    assert flights._flights == {}
