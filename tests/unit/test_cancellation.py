"""Work that is run to its end."""

from __future__ import annotations

import asyncio

import anyio
import pytest

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
