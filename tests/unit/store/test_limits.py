"""Connections and room run out: callers are told in time, and what is stored can be read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from sqlalchemy import text

from ragstone.errors import Overloaded, StoreFailed, StoreFull
from ragstone.settings import StoreSettings
from ragstone.store.database import Database, open_database

pytestmark = pytest.mark.anyio

QUICK = StoreSettings(pool_size=1, max_overflow=1, pool_timeout_s=0.05, busy_timeout_s=0.05)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """One that gives up soon."""
    database = await open_database(tmp_path / "a.db", QUICK)
    yield database
    await database.aclose()


async def test_a_read_without_a_connection_is_told(database: Database) -> None:
    """Both connections are taken: the third read is refused, the figures say why, and later all is well."""
    async with database.read() as one, database.read() as other:
        await one.execute(text("SELECT 1"))
        await other.execute(text("SELECT 1"))
        with pytest.raises(Overloaded, match=r"store\.pool_timeout_s"):
            await database.corpus_version()
        figures = database.pool_figures()

    assert (figures.in_use, figures.size, figures.overflow, figures.max_overflow) == (2, 1, 1, 1)
    assert await database.corpus_version() == 0
    assert database.pool_figures().in_use == 0


async def test_a_write_does_not_wait_behind_others_for_ever(database: Database) -> None:
    """While one write holds the turn the next one is refused within its limit, and reads go on."""
    async with database.write():
        with anyio.fail_after(30), pytest.raises(Overloaded, match=r"store\.busy_timeout_s"):
            async with database.write():
                pass
        assert database.pool_figures().is_writing
        assert await database.corpus_version() == 0
    async with database.write():
        assert database.pool_figures().writes_waiting == 0


async def test_a_locked_file_is_told(database: Database, tmp_path: Path) -> None:
    """Another process writes for too long: a failure of the store, and reads go on."""
    other = await open_database(tmp_path / "a.db", QUICK)
    async with other.write():
        with pytest.raises(StoreFailed, match="locked"):
            async with database.write():
                pass
        assert await database.corpus_version() == 0
    await other.aclose()


async def test_a_full_disk_is_told(database: Database) -> None:
    """SQLite finds no page left: `store_full`, nothing half written, and reads go on."""

    async def fill() -> None:
        async with database.write() as connection:
            await connection.execute(text("PRAGMA max_page_count = 1"))
            await connection.execute(text("CREATE TABLE filler (x)"))
            await connection.execute(text("INSERT INTO filler VALUES (zeroblob(10000000))"))

    with pytest.raises(StoreFull, match="no room"):
        await fill()

    async with database.read() as connection:
        found = await connection.execute(text("SELECT count(*) FROM sqlite_master WHERE name = 'filler'"))
        assert found.scalar_one() == 0
