"""The cache's file is deleted, damaged, foreign, shared or out of reach: nothing is lost but entries."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import anyio.to_thread
import pytest

from ragstone.cache.ports import Entry
from ragstone.cache.sqlite_tier import QUEUED_BYTES_MAX, SqliteTier
from ragstone.errors import CacheFailed

pytestmark = pytest.mark.anyio

MAX_BYTES = 4 * 2**20
LIMIT_S = 60.0

WRITER = """
import asyncio, sys
from pathlib import Path
from ragstone.cache.ports import Entry
from ragstone.cache.sqlite_tier import SqliteTier

async def write():
    tier = SqliteTier(Path(sys.argv[1]), 4 * 2**20)
    for number in range(300):
        await tier.set_many([Entry(f"answer:{sys.argv[2]}-{number}", b"payload", 600)])
        assert await tier.get_many([f"answer:{sys.argv[2]}-{number}"]) == [b"payload"]
    await tier.aclose()

asyncio.run(write())
"""


class HandClock:
    """The wall clock, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        """Seconds since 1970."""
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is."""
    return tmp_path / "cache.db"


@asynccontextmanager
async def opened(path: Path, clock: HandClock | None = None) -> AsyncIterator[SqliteTier]:
    """A tier, closed at the end."""
    tier = SqliteTier(path, MAX_BYTES, clock or HandClock())
    try:
        yield tier
    finally:
        await tier.aclose()


def entry(number: int, payload: bytes = b"payload", ttl_s: float = 600) -> Entry:
    """An entry."""
    return Entry(f"answer:{number:032x}", payload, ttl_s)


def random_bytes(size: int) -> bytes:
    """A payload that does not shrink."""
    return random.Random(7).randbytes(size)


def fill_by_processes(path: Path, count: int) -> list[int]:
    """Processes that write to the file at once; their exit codes."""
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, path, str(number)]) for number in range(count)]
    return [writer.wait(LIMIT_S) for writer in writers]


def remove(path: Path) -> None:
    """As a person does who wants the disk back."""
    path.unlink()


def size_of(path: Path) -> int:
    """On the disk."""
    return path.stat().st_size


async def keep(tier: SqliteTier, *entries: Entry) -> None:
    """Keep and write."""
    await tier.set_many(entries)
    await tier.clear("nothing:*")


async def found(tier: SqliteTier, *numbers: int) -> list[bool]:
    """Which of the entries are there."""
    return [payload is not None for payload in await tier.get_many([entry(one).key for one in numbers])]


async def test_a_restart_is_warm(path: Path) -> None:
    """What was queued at the end is there at the next start."""
    async with opened(path) as tier:
        await tier.set_many([entry(1)])

    async with opened(path) as tier:
        assert await found(tier, 1, 2) == [True, False]


def damage_head(path: Path) -> None:
    """No SQLite file any more."""
    path.write_bytes(b"rubbish" * 5_000)


def damage_pages(path: Path) -> None:
    """The head is sound, everything else is not."""
    content = path.read_bytes()
    path.write_bytes(content[:4096] + bytes(len(content) - 4096))


def empty(path: Path) -> None:
    """Not a byte."""
    path.write_bytes(b"")


def cut(path: Path) -> None:
    """Half a page."""
    path.write_bytes(path.read_bytes()[:6_000])


def foreign(path: Path) -> None:
    """Somebody else's database."""
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE entries (name TEXT)")


@pytest.mark.parametrize("damage", [damage_head, damage_pages, empty, cut, foreign])
async def test_a_damaged_file_is_begun_anew(path: Path, damage: Callable[[Path], object]) -> None:
    """Whatever happened to it between two starts: entries are gone, and the cache works."""
    async with opened(path) as tier:
        await keep(tier, *(entry(number, bytes(500)) for number in range(300)))
    damage(path)

    async with opened(path) as tier:
        assert await found(tier, 1, 299) == [False, False]
        await keep(tier, entry(1))
        assert await found(tier, 1) == [True]


async def test_deleted_while_in_use(path: Path) -> None:
    """Two open tiers, as of two processes: both go on with one new file."""
    async with opened(path) as one, opened(path) as other:
        await keep(one, entry(1))
        assert await found(other, 1) == [True]

        remove(path)

        assert await found(one, 1) == await found(other, 1) == [False]
        await keep(one, entry(2))
        await keep(other, entry(3))
        assert await found(one, 2, 3) == await found(other, 2, 3) == [True, True]


async def test_processes_share_the_file(path: Path) -> None:
    """Three processes begin and fill it at once; all of it is there afterwards."""
    assert await anyio.to_thread.run_sync(fill_by_processes, path, 3) == [0, 0, 0]

    tier = SqliteTier(path, MAX_BYTES)
    assert (await tier.statistics()).entries == 900
    await tier.aclose()


async def test_out_of_reach(tmp_path: Path) -> None:
    """Without its folder every call says so as CacheFailed; it works once the folder is there."""
    async with opened(tmp_path / "gone" / "cache.db") as tier:
        with pytest.raises(CacheFailed, match="disk_max_bytes"):
            await tier.get_many(["answer:1"])
        assert (await tier.statistics()).error is not None
        (tmp_path / "gone").mkdir()

        await keep(tier, entry(1))

        assert await found(tier, 1) == [True]


async def test_another_writer_is_not_waited_for_long(path: Path) -> None:
    """A process that holds the file's write turn costs entries, not calls: reads go on."""
    async with opened(path) as tier:
        await keep(tier, entry(1))
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            with pytest.raises(CacheFailed, match="locked"):
                await tier.delete_many([entry(1).key])
            assert await found(tier, 1) == [True]

        await tier.delete_many([entry(1).key])
        assert await found(tier, 1) == [False]


async def test_the_file_stays_within_its_bound(path: Path) -> None:
    """Four times the bound goes in: the file is no larger, the newest are there, the oldest gone."""
    clock = HandClock()
    size = 20_000
    async with opened(path, clock) as tier:
        for number in range(4 * MAX_BYTES // size):
            clock.now += 1
            await keep(tier, entry(number, bytes(range(250)) * (size // 250) + number.to_bytes(2)))
        figures = await tier.statistics()

        assert figures.size_bytes <= MAX_BYTES
        assert await found(tier, 0, number) == [False, True]
    assert size_of(path) <= 1.25 * MAX_BYTES


async def test_the_least_recently_used_go_first(path: Path) -> None:
    """An old entry that is asked for stays, its neighbours of the same age go."""
    clock = HandClock()
    large = [entry(number, random_bytes(16_000)) for number in range(400)]
    async with opened(path, clock) as tier:
        await keep(tier, *large[:200])
        clock.now += 120
        assert await found(tier, 0) == [True]
        clock.now += 120
        await keep(tier, *large[200:])

        assert await found(tier, 0, 1, 399) == [True, False, True]


async def test_expired_rows_are_swept(path: Path) -> None:
    """The next write takes them out of the file."""
    clock = HandClock()
    async with opened(path, clock) as tier:
        await keep(tier, *(entry(number, ttl_s=10) for number in range(100)))
        clock.now += 11
        assert await found(tier, 1) == [False]

        await keep(tier, entry(200))

        assert (await tier.statistics()).entries == 1


async def test_a_full_queue_drops(path: Path) -> None:
    """What does not fit is dropped and counted; so is an entry too large for the file."""
    async with opened(path) as tier:
        await tier.set_many([entry(1, random_bytes(MAX_BYTES // 2))])
        assert (await tier.statistics()).dropped == 1

        part = 256 * 1024
        count = 2 * QUEUED_BYTES_MAX // part
        await tier.set_many([entry(number, random_bytes(part)) for number in range(2, 2 + count)])

        dropped = (await tier.statistics()).dropped - 1
        assert count // 2 <= dropped < count
