"""Redis is missing, lost, silent, full, read-only or failing over: calls fail quickly, and work again."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from ragstone.cache.ports import Entry
from ragstone.cache.redis_tier import RedisTier
from ragstone.errors import CacheFailed
from ragstone.net.redis import RedisLimits, open_redis
from tests.support.redis import (
    RedisServer,
    RedisSetup,
    free_port,
    running_cluster,
    running_redis,
    running_sentinel,
    write_certificate,
)
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

# Two seconds are long on a busy machine, too; a call that never ends runs into HANG_S.
TIMEOUT_S = 2.0
LIMITS = RedisLimits(connections=8, timeout_s=TIMEOUT_S, retry_s=0.2)
PATIENT = RedisLimits(timeout_s=30.0)
HANG_S = 60.0
BACK_S = 60.0
MOST_TRIES = 5


@asynccontextmanager
async def opened(url: str, limits: RedisLimits = LIMITS) -> AsyncIterator[RedisTier]:
    """A tier over the Redis at the URL."""
    tier = RedisTier(open_redis(url, limits))
    try:
        yield tier
    finally:
        with anyio.fail_after(HANG_S):
            await tier.aclose()


def entry(number: int, payload: bytes = b"payload") -> Entry:
    """An entry that lives for the whole test."""
    return Entry(f"answer:{number:032x}", payload, 600)


async def works(tier: RedisTier, number: int = 1) -> bool:
    """Whether an entry can be kept and found; whatever is raised but CacheFailed fails the test."""
    one = entry(number)
    try:
        with anyio.fail_after(HANG_S):
            await tier.set_many([one])
            return await tier.get_many([one.key]) == [one.payload]
    except CacheFailed:
        return False


async def works_on_all(tier: RedisTier) -> bool:
    """As `works`, for keys on every primary of a cluster."""
    return all([await works(tier, number) for number in range(24)])


async def keep_all(tier: RedisTier, entries: list[Entry]) -> None:
    """One after the other."""
    with anyio.fail_after(BACK_S):
        for one in entries:
            await tier.set_many([one])


async def failure(tier: RedisTier) -> str:
    """What a call says now."""
    with anyio.fail_after(HANG_S), pytest.raises(CacheFailed) as caught:
        await tier.get_many([entry(1).key])
    return caught.value.message


async def test_missing_at_the_start(tmp_path: Path) -> None:
    """The tier opens without it, says who is missing, and works as soon as Redis is there."""
    server = RedisServer(free_port(), tmp_path)
    async with opened(server.url) as tier:
        assert f"127.0.0.1:{server.port}" in await failure(tier)
        figures = await tier.statistics()
        assert not figures.is_available
        assert figures.error is not None

        server.start()
        try:
            await until(lambda: works(tier), BACK_S)
            assert (await tier.statistics()).is_available
        finally:
            server.kill()


async def test_killed_in_flight_and_back(tmp_path: Path) -> None:
    """Calls on their way when it dies fail as CacheFailed; after a restart they work, entries gone."""
    with running_redis(tmp_path) as server:
        async with opened(server.url) as tier:
            failures = 0
            is_over = anyio.Event()

            async def call_on_and_on(number: int) -> None:
                nonlocal failures
                while not is_over.is_set():
                    if not await works(tier, number):
                        failures += 1
                    await anyio.lowlevel.checkpoint()

            async with anyio.create_task_group() as group:
                for number in range(16):
                    group.start_soon(call_on_and_on, number)
                await until(lambda: works(tier, 99), BACK_S)
                await anyio.to_thread.run_sync(server.kill)
                await until(lambda: _is(failures > 50), BACK_S)
                await anyio.to_thread.run_sync(server.start)
                await until(lambda: works(tier, 99), BACK_S)
                is_over.set()

            assert await works(tier)


async def _is(claim: bool) -> bool:
    return claim


async def test_silent_and_back(tmp_path: Path) -> None:
    """A stopped server costs one call its time; the next ones are told at once. It goes on by itself."""
    with running_redis(tmp_path) as server:
        async with opened(server.url, RedisLimits(timeout_s=TIMEOUT_S, retry_s=BACK_S)) as patient:
            assert await works(patient)
            server.signal(signal.SIGSTOP)
            assert "no answer within 2 s" in await failure(patient)
            assert "left alone" in await failure(patient)
            server.signal(signal.SIGCONT)
        async with opened(server.url) as tier:
            assert await works(tier)
            server.signal(signal.SIGSTOP)
            assert "no answer" in await failure(tier)
            server.signal(signal.SIGCONT)

            await until(lambda: works(tier), BACK_S)


async def test_connections_run_out(tmp_path: Path) -> None:
    """A call that gets no connection in its time says so; Redis is not held guilty of it."""
    with running_redis(tmp_path) as server:
        async with opened(server.url, RedisLimits(connections=1, timeout_s=TIMEOUT_S)) as tier:
            # Both give up at nearly one time: now and then the place is free a moment before.
            for _ in range(MOST_TRIES):
                await until(lambda: works(tier), BACK_S)
                server.signal(signal.SIGSTOP)
                told: list[str] = []

                async def ask(told: list[str] = told) -> None:
                    told.append(await failure(tier))

                async with anyio.create_task_group() as group:
                    group.start_soon(ask)
                    group.start_soon(ask)
                server.signal(signal.SIGCONT)
                if any("cache.redis_connections" in one for one in told):
                    break

            assert sum("cache.redis_connections" in one for one in told) == 1


async def test_full(tmp_path: Path) -> None:
    """Without room nothing is kept, but what is there is found; with room again it works at once."""
    with running_redis(tmp_path, "--maxmemory", "4mb", "--maxmemory-policy", "noeviction") as server:
        async with opened(server.url) as tier:
            assert await works(tier)
            with pytest.raises(CacheFailed, match="OutOfMemory"):
                await keep_all(tier, [entry(number, os.urandom(100_000)) for number in range(100, 200)])

            assert await tier.get_many([entry(1).key]) == [b"payload"]
            assert (await tier.statistics()).is_available
            assert await tier.clear() > 10
            assert await works(tier)


async def test_read_only_and_back(tmp_path: Path) -> None:
    """A master that became a replica refuses to write; as master again it is used again."""
    with running_redis(tmp_path / "one") as server, running_redis(tmp_path / "two") as master:
        async with opened(server.url) as tier:
            assert await works(tier)
            server.answers("REPLICAOF", "127.0.0.1", str(master.port))
            with pytest.raises(CacheFailed, match="ReadOnly"):
                await tier.set_many([entry(1)])
            server.answers("REPLICAOF", "NO", "ONE")

            await until(lambda: works(tier), BACK_S)


async def test_a_server_without_a_command(tmp_path: Path) -> None:
    """An unknown command fails alone, without the text of its arguments; the others go on."""
    with running_redis(tmp_path, "--rename-command", "UNLINK", "") as server:
        async with opened(server.url) as tier:
            assert await works(tier)
            with pytest.raises(CacheFailed, match="unknown command") as caught:
                await tier.delete_many(["answer:secret-words"])

            assert "secret-words" not in caught.value.message
            assert await works(tier)


async def test_foreign_and_damaged_entries_are_misses(tmp_path: Path) -> None:
    """A list under the key, rubbish, another key's entry: nothing there; setting it mends it."""
    with running_redis(tmp_path) as server:
        async with opened(server.url) as tier:
            assert await works(tier, 2)
            server.answers("RPUSH", f"ragstone:1:{entry(1).key}", "a")
            server.answers("SET", f"ragstone:1:{entry(3).key}", "rubbish")
            server.answers("COPY", f"ragstone:1:{entry(2).key}", f"ragstone:1:{entry(4).key}")
            keys = [entry(number).key for number in (1, 2, 3, 4)]

            assert await tier.get_many(keys) == [None, b"payload", None, None]
            assert await works(tier)


async def test_passwords(tmp_path: Path) -> None:
    """The right one works; a wrong one is in no message."""
    with running_redis(tmp_path, "--requirepass", "s3cret") as server:
        server_url = server.url.replace("redis://", "redis://:{}@")
        async with opened(server_url.format("s3cret")) as tier:
            assert await works(tier)
        async with opened(server_url.format("wr0ng")) as tier:
            message = await failure(tier)

        assert f"127.0.0.1:{server.port}" in message
        assert "wr0ng" not in message


async def test_a_certificate_is_checked(tmp_path: Path) -> None:
    """Over TLS with the authority that vouches for it; without it nothing is sent."""
    port = free_port()
    with running_redis(tmp_path, *write_certificate(tmp_path), "--tls-port", str(port)):
        url = f"rediss://127.0.0.1:{port}"
        async with opened(f"{url}?ca_file={tmp_path / 'cert.pem'}", PATIENT) as tier:
            assert await works(tier)
        async with opened(url, PATIENT) as tier:
            assert "CERTIFICATE_VERIFY_FAILED" in await failure(tier)


async def test_a_busy_event_loop_is_not_held_against_redis(tmp_path: Path) -> None:
    """A limit that strikes far too late tells of this process: Redis is asked again at once."""
    ticks = itertools.count(step=100)
    with running_redis(tmp_path) as server:
        tier = RedisTier(open_redis(server.url, LIMITS, clock=lambda: float(next(ticks))))
        server.signal(signal.SIGSTOP)

        told = [await failure(tier), await failure(tier)]

        server.signal(signal.SIGCONT)
        assert all("no answer within" in one for one in told)
        await tier.aclose()


async def test_failover_by_a_sentinel(tmp_path: Path) -> None:
    """The master is killed: after the Sentinel's failover the replica is used, without a word from us."""
    with running_sentinel(tmp_path) as setup:
        async with opened(setup.url) as tier:
            await until(lambda: works(tier), BACK_S)
            setup.servers[0].kill()

            await until(lambda: works(tier), BACK_S)

            assert setup.servers[1].answers("EXISTS", f"ragstone:1:{entry(1).key}") == "1"


async def test_failover_of_a_cluster(tmp_path: Path) -> None:
    """A primary is killed, the one first in the URL: its replica takes over, every key works again.

    A client that takes a node of the cluster for a single server is told what it is.
    """
    with running_cluster(tmp_path) as setup:
        async with opened(setup.url) as tier:
            await until(lambda: works_on_all(tier), BACK_S)
            primary = _primary(setup)
            primary.kill()
            with pytest.raises(CacheFailed):
                await keep_all(tier, [entry(number) for number in range(24)])

            await until(lambda: works_on_all(tier), BACK_S)
            assert await tier.clear() == 24
        survivor = next(server for server in setup.servers if server.process is not None)
        async with opened(survivor.url) as tier:
            with pytest.raises(CacheFailed, match="Moved"):
                await keep_all(tier, [entry(number) for number in range(24)])


def _primary(setup: RedisSetup) -> RedisServer:
    return next(server for server in setup.servers if "role:master" in server.answers("INFO", "replication"))
