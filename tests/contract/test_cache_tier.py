"""What every tier of the cache promises: SQLite, and Redis alone, behind Sentinels and as a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from pydantic import SecretStr
from tests.support.redis import RedisSetup, running_cluster, running_redis, running_sentinel
from tests.support.waiting import until

from ragstone.cache.ports import Entry, Tier
from ragstone.cache.shared import open_shared_cache
from ragstone.settings import CacheSettings

pytestmark = pytest.mark.anyio

MINUTE_S = 60.0
LIMIT_S = 30.0


@dataclass(frozen=True)
class Place:
    """Where a tier keeps its entries."""

    settings: CacheSettings
    flush: Callable[[], None]


@pytest.fixture(scope="module", params=["sqlite", "single", "sentinel", "cluster"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Servers of each kind in turn, for all tests of this file."""
    with _running(request.param, tmp_path_factory.mktemp("redis")) as found:
        yield found


@contextmanager
def _running(kind: str, folder: Path) -> Iterator[Place]:
    if kind == "sqlite":
        yield Place(CacheSettings(), lambda: None)
    elif kind == "single":
        with running_redis(folder) as server:
            yield Place(_settings(server.url), RedisSetup(server.url, [server]).flush)
    else:
        run = running_sentinel if kind == "sentinel" else running_cluster
        with run(folder) as setup:
            yield Place(_settings(setup.url), setup.flush)


def _settings(url: str) -> CacheSettings:
    """Patient: these tests are about what is kept, on a busy machine."""
    return CacheSettings(redis_url=SecretStr(url), redis_timeout_s=LIMIT_S)


@pytest.fixture
async def tier(place: Place, tmp_path: Path) -> AsyncIterator[Tier]:
    """A tier that holds nothing yet."""
    place.flush()
    shared = open_shared_cache(place.settings, tmp_path / "cache.db")
    assert shared.tier is not None
    yield shared.tier
    await shared.aclose()


def entry(number: int, *collections: str, cache: str = "answer", ttl_s: float = MINUTE_S) -> Entry:
    """An entry with a payload of its own."""
    return Entry(f"{cache}:{number:032x}", f"payload {number} ".encode() * 100, ttl_s, collections)


async def payloads(tier: Tier, *entries: Entry) -> list[bytes | None]:
    """What lies under their keys."""
    return await tier.get_many([one.key for one in entries])


async def test_what_is_kept_is_found(tier: Tier) -> None:
    """In the order asked for, None where there is nothing; asking for nothing gives nothing."""
    first, second, third = (entry(number) for number in range(3))

    await tier.set_many([first, third])

    assert await payloads(tier, third, second, first) == [third.payload, None, first.payload]
    assert await tier.get_many([]) == []


async def test_many_at_once(tier: Tier) -> None:
    """More keys than one statement takes, over all slots of a cluster, an empty payload among them."""
    entries = [entry(number) for number in range(1_200)] + [Entry("answer:empty", b"", MINUTE_S)]

    await tier.set_many(entries)

    assert await payloads(tier, *entries) == [one.payload for one in entries]


async def test_a_later_entry_replaces(tier: Tier) -> None:
    """The newer payload is found, in its newer collections only."""
    old, new = entry(1, "old"), entry(1, "new")
    await tier.set_many([old])
    await tier.set_many([Entry(new.key, b"newer", MINUTE_S, new.collections)])

    assert await payloads(tier, new) == [b"newer"]


async def test_an_entry_ends(tier: Tier) -> None:
    """After its time to live it is not found; a longer one is."""
    short, long = entry(1, ttl_s=0.02), entry(2)
    await tier.set_many([short, long])

    async def is_over() -> bool:
        return await payloads(tier, short) == [None]

    await until(is_over, LIMIT_S)

    assert await payloads(tier, short, long) == [None, long.payload]


async def test_deleted_entries_are_gone(tier: Tier) -> None:
    """Those named, at once; names of nothing do no harm."""
    first, second = entry(1), entry(2)
    await tier.set_many([first, second])

    await tier.delete_many([first.key, "answer:unknown"])
    await tier.delete_many([])

    assert await payloads(tier, first, second) == [None, second.payload]


async def test_clear_by_pattern(tier: Tier) -> None:
    """A glob over keys; the count is of what went."""
    answers = [entry(number) for number in range(300)]
    searches = [entry(number, cache="retrieval") for number in range(3)]
    await tier.set_many([*answers, *searches])

    assert await tier.clear("generation:*") == 0
    assert await tier.clear("answer:*") == 300
    assert await payloads(tier, answers[0], *searches) == [None, *(one.payload for one in searches)]
    assert await tier.clear(f"r[aeiou]trieval:{1:032x}") == 1
    assert await tier.clear() == 2


async def test_clear_by_collection(tier: Tier) -> None:
    """What was made from a collection goes, the rest stays; within it a pattern narrows."""
    mine, both, other = entry(1, "mine"), entry(2, "mine", "other"), entry(3, "other")
    search, free = entry(4, "mine", cache="retrieval"), entry(5)
    await tier.set_many([mine, both, other, search, free])

    assert await tier.clear("retrieval:*", "mine") == 1
    assert await tier.clear(collection="mine") == 2
    assert await tier.clear(collection="unknown") == 0

    kept = [None, None, other.payload, None, free.payload]
    assert await payloads(tier, mine, both, other, search, free) == kept


async def test_statistics_count(tier: Tier) -> None:
    """Entries and bytes, and what compression came to."""
    await tier.set_many([entry(number) for number in range(50)])
    await tier.clear("nothing:*")  # whatever waited is written

    figures = await tier.statistics()

    assert figures.is_available
    assert figures.error is None
    assert figures.entries >= 50
    assert figures.size_bytes > 0
    assert 0 < figures.written_stored_bytes < figures.written_payload_bytes / 2


async def test_callers_at_once(tier: Tier) -> None:
    """Two hundred at once, more than there are connections: each gets its own."""
    entries = [entry(number) for number in range(200)]
    found: dict[str, bytes | None] = {}

    async def keep_and_read(one: Entry) -> None:
        await tier.set_many([one])
        (found[one.key],) = await tier.get_many([one.key])

    async with anyio.create_task_group() as group:
        for one in entries:
            group.start_soon(keep_and_read, one)

    assert found == {one.key: one.payload for one in entries}


async def test_callers_that_leave_harm_nobody(tier: Tier) -> None:
    """Calls cancelled at any point of their way: the others, then and later, get their own entries."""
    entries = [entry(number) for number in range(300)]
    await tier.set_many(entries)
    await tier.clear("nothing:*")  # whatever waited is written
    wrong: list[str] = []

    async def read(one: Entry) -> None:
        if await tier.get_many([one.key]) != [one.payload]:
            wrong.append(one.key)

    async def leave(one: Entry, steps: int) -> None:
        task = asyncio.create_task(read(one))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})

    async with anyio.create_task_group() as group:
        for number, one in enumerate(entries):
            group.start_soon(leave, one, number % 30)
            group.start_soon(read, one)
    for one in entries:
        await read(one)

    assert wrong == []
