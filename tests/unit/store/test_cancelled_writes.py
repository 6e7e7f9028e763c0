"""A caller that leaves in the middle of a write leaves the database usable."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from ragstone.config import StoreSettings
from ragstone.store.database import Database, open_database
from ragstone.store.tables import meta

pytestmark = pytest.mark.anyio

ROUNDS = 40
QUICK = StoreSettings(busy_timeout_s=0.5)


async def test_a_cancelled_write_unlocks_the_database(tmp_path: Path) -> None:
    """Cancelled at whatever statement, the transaction is rolled back and another writer may go on."""
    own = await open_database(tmp_path / "a.db", QUICK)
    other = await open_database(tmp_path / "a.db", QUICK)
    try:
        for number in range(ROUNDS):
            task = asyncio.create_task(_write(own, f"cancelled-{number}", 30))
            for _ in range(number * 3):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

            await _write(other, f"kept-{number}", 1)

        async with own.read() as connection:
            names = list((await connection.execute(select(meta.c.name))).scalars())
        assert len([name for name in names if name.startswith("kept-")]) == ROUNDS
    finally:
        await own.aclose()
        await other.aclose()


async def _write(database: Database, name: str, count: int) -> None:
    async with database.write() as connection:
        for number in range(count):
            await connection.execute(insert(meta).values(name=f"{name}-{number}", value="x"))
