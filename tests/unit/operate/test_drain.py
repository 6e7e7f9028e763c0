"""The end of a server: what is told, what is counted, how long it waits."""

from __future__ import annotations

import asyncio

import pytest

from ragstone.operate.drain import Drain

pytestmark = pytest.mark.anyio

LIMIT_S = 30.0


async def test_the_end_is_told_once() -> None:
    """Everybody who wants to know is told at the beginning, not at every signal; then the grace shrinks."""
    now = 100.0
    told: list[str] = []
    drain = Drain(10.0, lambda: now)
    drain.on_begin(lambda: told.append("worker"))
    assert (drain.is_begun, drain.left_s) == (False, 10.0)

    drain.begin()
    now = 104.0
    drain.begin()

    assert told == ["worker"]
    assert (drain.is_begun, drain.left_s) == (True, 6.0)


async def test_it_ends_with_the_last_request() -> None:
    """While one is under way it waits; an error ends a request, too."""
    drain = Drain(LIMIT_S)
    may_go = asyncio.Event()

    async def work() -> None:
        with drain.request():
            await may_go.wait()
            raise ZeroDivisionError

    working = asyncio.create_task(work())
    await asyncio.sleep(0)
    drain.begin()
    waiting = asyncio.create_task(drain.finished())
    await asyncio.sleep(0)
    assert (drain.in_flight, waiting.done()) == (1, False)
    may_go.set()

    assert await waiting
    with pytest.raises(ZeroDivisionError):
        await working


async def test_it_does_not_wait_beyond_the_grace() -> None:
    """A request that never ends is left."""
    drain = Drain(0.01)
    with drain.request():
        drain.begin()

        assert not await drain.finished()
