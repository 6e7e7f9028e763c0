"""Work that is run to its end."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from ragstone import cancellation
from ragstone.cancellation import run_to_end

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("is_native", [True, False])
async def test_the_work_ends_before_the_cancellation_is_seen(is_native: bool) -> None:
    """Neither a task's own cancel nor a scope stops it half way; the caller is cancelled afterwards."""
    begun, gate, log = asyncio.Event(), asyncio.Event(), list[str]()

    async def work() -> None:
        log.append("begun")
        begun.set()
        await gate.wait()
        log.append("ended")

    async def caller(scope: anyio.CancelScope) -> None:
        with scope:
            await run_to_end(work())
            log.append("went on")

    scope = anyio.CancelScope()
    task = asyncio.create_task(caller(scope))
    await begun.wait()
    if is_native:
        task.cancel()
    else:
        scope.cancel()
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(task, return_exceptions=True)

    assert log[:2] == ["begun", "ended"]
    assert task.cancelled() == is_native


async def test_results_and_errors_come_through() -> None:
    """Without a cancellation it is a plain await."""

    async def fail() -> None:
        raise LookupError("no")

    async def answer() -> int:
        return 42

    assert await run_to_end(answer()) == 42
    with pytest.raises(LookupError):
        await run_to_end(fail())


async def test_a_task_that_loses_a_cancel_is_ended_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `asyncio.wait_for` loses one; whatever a task raises at its end is no error of who ends it."""
    monkeypatch.setattr(cancellation, "CANCELLED_AGAIN_S", 0.01)
    lost = 0

    async def deaf() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost += 1
                if lost == 3:
                    raise

    async def failing() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise ValueError("at the end")

    tasks = [asyncio.create_task(deaf()), asyncio.create_task(failing())]
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await cancellation.end_tasks(tasks)
        await cancellation.end_tasks([])

    assert lost == 3
    assert all(task.done() for task in tasks)
