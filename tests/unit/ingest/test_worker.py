"""A worker ends when it is told to, whatever comes in at that moment."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ragstone.config import load
from ragstone.models.fakes import HashEmbedder
from ragstone.runtime import open_engine

pytestmark = pytest.mark.anyio
LIMIT_S = 5.0


@pytest.mark.parametrize("turns", range(6))
async def test_a_worker_that_is_woken_while_it_is_closed_ends(tmp_path: Path, turns: int) -> None:
    """A wake-up some turns of the event loop before the end must not swallow it."""
    async with open_engine(load(tmp_path), HashEmbedder()) as engine:
        engine.worker.start(1)
        await asyncio.sleep(0.05)  # until it waits for something to do

        engine.worker.wake()
        for _ in range(turns):
            await asyncio.sleep(0)
        closing = asyncio.create_task(engine.worker.aclose(0))
        done, _ = await asyncio.wait([closing], timeout=LIMIT_S)

        assert done
