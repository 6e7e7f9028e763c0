"""A worker ends when it is told to, whatever comes in at that moment."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal

import pytest

from ragstone.config import load
from ragstone.models.fakes import HashEmbedder
from ragstone.runtime.engine import open_engine

pytestmark = pytest.mark.anyio
LIMIT_S = 30.0


class Alarm(asyncio.Event):
    """What wakes the worker; `is_awaited` is set once it waits for that."""

    def __init__(self) -> None:
        super().__init__()
        self.is_awaited = asyncio.Event()

    async def wait(self) -> Literal[True]:
        """As an event."""
        self.is_awaited.set()
        return await super().wait()


@pytest.mark.parametrize("turns", range(6))
async def test_a_worker_that_is_woken_while_it_is_closed_ends(tmp_path: Path, turns: int) -> None:
    """A wake-up some turns of the event loop before the end must not swallow it."""
    async with open_engine(load(tmp_path), HashEmbedder()) as engine:
        engine.worker._wake = alarm = Alarm()
        engine.worker.start(1)
        async with asyncio.timeout(LIMIT_S):
            await alarm.is_awaited.wait()

        engine.worker.wake()
        for _ in range(turns):
            await asyncio.sleep(0)
        closing = asyncio.create_task(engine.worker.aclose(0))
        done, _ = await asyncio.wait([closing], timeout=LIMIT_S)

        assert done
