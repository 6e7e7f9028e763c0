"""What claims promise: one holder among all processes, and a way on when it dies."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from tests.support.redis import RedisServer, free_port, running_redis
from tests.support.waiting import until, wait_until

from ragstone.cache.claims import CLAIM_PREFIX, Claims, LocalClaims, RedisClaims
from ragstone.deadline import Deadline
from ragstone.net.redis import RedisLimits, open_redis

pytestmark = pytest.mark.anyio

LIMIT_S = 30.0
RELEASES = 1_000
START_LIMIT_S = 60.0
PATIENT = RedisLimits(timeout_s=LIMIT_S)

HOLDER = """
import asyncio, sys
from ragstone.cache.claims import RedisClaims
from ragstone.net.redis import RedisLimits, open_redis

async def hold():
    claims = RedisClaims(open_redis(sys.argv[1], RedisLimits(timeout_s=5)))
    assert await claims.claim("answer:1", 1.0)
    await asyncio.Event().wait()

asyncio.run(hold())
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis for the tests of this file."""
    with running_redis(tmp_path_factory.mktemp("redis")) as found:
        yield found


@pytest.fixture
async def processes(server: RedisServer) -> AsyncIterator[list[Claims]]:
    """Claims over connections of their own, as three processes have them."""
    server.answers("FLUSHALL")
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(opened(server.url)) for _ in range(3)]


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Claims]:
    """Claims over one client."""
    redis = open_redis(url, PATIENT)
    try:
        yield RedisClaims(redis)
    finally:
        await redis.aclose()


async def test_one_of_many_claims(processes: list[Claims]) -> None:
    """Of thirty who claim one key at once, in three processes, one gets it; another key is another's."""
    held = []

    async def ask(claims: Claims) -> None:
        held.append(await claims.claim("answer:1"))

    async with anyio.create_task_group() as group:
        for number in range(30):
            group.start_soon(ask, processes[number % 3])
    (claim,) = [one for one in held if one is not None]
    other = await processes[1].claim("answer:2")

    assert other is not None
    await claim.release()
    await other.release()


async def test_waiting_ends_with_the_release(processes: list[Claims]) -> None:
    """Those who wait go on when the holder is done; the next claim is granted."""
    holder, *others = processes
    claim = await holder.claim("answer:1", START_LIMIT_S)
    assert claim is not None
    ended: list[bool] = []

    async def wait(claims: Claims) -> None:
        ended.append(await claims.wait("answer:1", Deadline.after(LIMIT_S)))

    async with anyio.create_task_group() as group:
        for claims in others:
            group.start_soon(wait, claims)
        await anyio.wait_all_tasks_blocked()
        assert ended == []
        await claim.release()

    assert ended == [True, True]
    again = await others[0].claim("answer:1")
    assert again is not None
    await again.release()


async def test_waiting_keeps_its_own_deadline(processes: list[Claims]) -> None:
    """Who has no more time goes on without; the claim stays."""
    claim = await processes[0].claim("answer:1", START_LIMIT_S)
    assert claim is not None

    assert not await processes[1].wait("answer:1", Deadline.after(0.05))
    assert await processes[1].claim("answer:1") is None
    await claim.release()


async def test_a_claim_is_renewed(processes: list[Claims], server: RedisServer) -> None:
    """It lives longer than its time to live while its holder does: the time left rises again and again."""
    claim = await processes[0].claim("answer:1", 1.0)
    assert claim is not None
    rises, last = 0, 0

    async def has_risen_often() -> bool:
        nonlocal rises, last
        left = int(await anyio.to_thread.run_sync(server.answers, "PTTL", CLAIM_PREFIX + "answer:1"))
        rises, last = rises + (left > last > 0), left
        return rises >= 5

    await until(has_risen_often, START_LIMIT_S)

    assert await processes[1].claim("answer:1") is None
    await claim.release()
    assert server.answers("EXISTS", CLAIM_PREFIX + "answer:1") == "0"


async def test_a_lost_claim_is_left_to_its_new_holder(processes: list[Claims], server: RedisServer) -> None:
    """A holder that was silent too long neither renews nor releases what is another's by now."""
    claim = await processes[0].claim("answer:1", START_LIMIT_S)
    assert claim is not None
    server.answers("SET", CLAIM_PREFIX + "answer:1", "another's token")

    await claim.release()

    assert server.answers("GET", CLAIM_PREFIX + "answer:1") == "another's token"


async def test_a_cancelled_holder_releases(processes: list[Claims], server: RedisServer) -> None:
    """The release goes through when its caller is being cancelled."""
    with anyio.CancelScope() as scope:
        claim = await processes[0].claim("answer:1", START_LIMIT_S)
        assert claim is not None
        try:
            scope.cancel()
            await anyio.sleep_forever()
        finally:
            await claim.release()

    assert server.answers("EXISTS", CLAIM_PREFIX + "answer:1") == "0"


async def test_a_killed_holder_hands_over(processes: list[Claims], server: RedisServer) -> None:
    """A process that holds a claim is killed: those who wait go on when its time to live is over."""
    holder = start_holder(server)
    try:
        await anyio.to_thread.run_sync(_wait_for_claim, server)
        assert await processes[0].claim("answer:1") is None
    finally:
        holder.kill()
        holder.wait(LIMIT_S)

    assert await processes[0].wait("answer:1", Deadline.after(START_LIMIT_S))
    claim = await processes[0].claim("answer:1")
    assert claim is not None
    await claim.release()


def start_holder(server: RedisServer) -> subprocess.Popen[bytes]:
    """A process that claims `answer:1` for a second at a time, and holds it."""
    return subprocess.Popen([sys.executable, "-c", HOLDER, server.url])


def _wait_for_claim(server: RedisServer) -> None:
    key = CLAIM_PREFIX + "answer:1"
    wait_until(lambda: True if server.answers("EXISTS", key) == "1" else None, START_LIMIT_S)


async def test_without_redis_everyone_works_for_himself(tmp_path: Path) -> None:
    """Nobody can be asked: every claim is granted, nobody waits."""
    async with opened(f"redis://127.0.0.1:{free_port()}") as claims:
        assert await goes_alone(claims)
    assert await goes_alone(LocalClaims())


async def goes_alone(claims: Claims) -> bool:
    """Whether two claims of one key are granted at once and a wait ends at once."""
    first, second = await claims.claim("answer:1"), await claims.claim("answer:1")
    assert first is not None
    assert second is not None
    await first.release()
    await second.release()
    return await claims.wait("answer:1", Deadline.after(LIMIT_S))


async def test_a_claim_is_released_at_any_moment_of_its_renewal(server: RedisServer) -> None:
    """Also while it is being renewed: a cancel that the client swallowed left the holder waiting for ever.

    (`asyncio.wait_for` does so before Python 3.12, when what it waits for ends in the same turn.)
    """
    choice = random.Random(7)
    async with opened(server.url) as claims:
        with anyio.fail_after(LIMIT_S):
            for number in range(RELEASES):
                claim = await claims.claim(f"answer:{number}", 0.006)
                assert claim is not None
                for _ in range(choice.randrange(60)):
                    await anyio.lowlevel.checkpoint()
                await anyio.sleep(choice.random() * 0.004)
                await claim.release()
