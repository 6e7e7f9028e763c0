"""A caller that leaves in the middle of a write leaves the database usable."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from ragstone.settings import StoreSettings
from ragstone.store.database import Database, open_database
from ragstone.store.tables import meta

pytestmark = pytest.mark.anyio

ROUNDS = 40
ROWS = 800
"""Enough for a statement that is still running when its caller is cancelled."""
PATIENT = StoreSettings(busy_timeout_s=10.0)
"""Only a lock that nobody ends is waited for so long."""


async def test_a_cancelled_write_unlocks_the_database(tmp_path: Path) -> None:
    """Cancelled at whatever statement, the transaction is rolled back and another writer may go on."""
    own = await open_database(tmp_path / "a.db", PATIENT)
    other = await open_database(tmp_path / "a.db", PATIENT)
    gc.disable()  # it would free a forgotten connection now and then, and hide the lock
    try:
        for number in range(ROUNDS):
            task = asyncio.create_task(_write(own, f"cancelled-{number}", 30))
            # A little later each time, so that every kind of statement is met while it runs.
            await asyncio.wait({task}, timeout=number * 0.0005)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

            await _write(other, f"kept-{number}", 1)

        async with own.read() as connection:
            names = list((await connection.execute(select(meta.c.name))).scalars())
        assert len([name for name in names if name.startswith("kept-")]) == ROUNDS * ROWS
    finally:
        gc.enable()
        await own.aclose()
        await other.aclose()


async def _write(database: Database, name: str, count: int) -> None:
    async with database.write() as connection:
        for number in range(count):
            rows = [{"name": f"{name}-{number}-{row}", "value": "x" * 200} for row in range(ROWS)]
            await connection.execute(insert(meta), rows)
