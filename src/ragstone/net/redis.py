"""The only Redis client (extra `redis`): one server, a service behind Sentinels, or a cluster.

Every call has one time limit, the wait for a connection included. After a failure Redis is left alone for a
while, so that a dead one costs nothing; then one call tries it. Whatever goes wrong is `CacheFailed`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypedDict, TypeVar, cast

from ragstone.deadline import Clock
from ragstone.errors import BreakerOpen, CacheFailed, NotReady
from ragstone.net.redis_url import RedisAddress, read_redis_url
from ragstone.resilience.breaker import Breaker, BreakerRules, Breakers, Permit
from ragstone.telemetry.spans import span

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from redis.asyncio import Redis, RedisCluster
    from redis.asyncio.cluster import ClusterNode

    from ragstone.telemetry.spans import Span

    Client: TypeAlias = Redis | RedisCluster

T = TypeVar("T")
Command: TypeAlias = tuple[str | bytes | int | float, ...]
"""The words of a command on one key."""
Reply: TypeAlias = object

_SCANNED_AT_ONCE = 1_000
_STALL = 2.0
"""A limit that fires after twice its time tells of a busy event loop, not of a slow Redis."""
_ANNOTATION = re.compile(r"\ACommand # .* caused error: ", re.DOTALL)
_ARGUMENTS = re.compile(r",? ?with args beginning with.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class RedisLimits:
    """What one process asks of Redis at most."""

    connections: int = 50
    timeout_s: float = 0.25
    retry_s: float = 2.0


@dataclass(frozen=True, slots=True)
class RedisUsage:
    """Calls at this moment, and failures since the start."""

    busy: int
    waiting: int
    limit: int
    failures: int
    is_available: bool


class RedisClient:
    """Runs commands. Build with `open_redis`; nothing is connected before the first call."""

    def __init__(
        self,
        address: RedisAddress,
        limits: RedisLimits,
        clients: tuple[Client, *tuple[Redis, ...]],
        breaker: Breaker,
        clock: Clock,
    ) -> None:
        self.place = address.place
        self._limits = limits
        self._client, *self._sentinels = clients
        self._breaker = breaker
        self._clock = clock
        self._places = asyncio.Semaphore(limits.connections)
        self._busy = self._waiting = self._failures = 0
        self._resetting: asyncio.Task[None] | None = None

    @property
    def error(self) -> str | None:
        """Why Redis is left alone; None while it answers."""
        return self._breaker.reason

    async def run(self, commands: Sequence[Command]) -> list[Reply]:
        """The replies of commands on one key each, in order; not one transaction.

        A key that holds another type than its command expects reads as None: somebody else's.

        Raises:
            CacheFailed: one of them failed, or Redis is not reached in time; some may have been done.
        """
        if not commands:
            return []
        with _span("PIPELINE" if len(commands) > 1 else str(commands[0][0])):
            return await self._call(lambda: self._pipeline(commands))

    async def scan(self, pattern: str) -> AsyncIterator[list[str]]:
        """The keys that match the glob, in batches, from every primary; each batch has its own time limit.

        Raises:
            CacheFailed: as `run`.
        """
        for node in await self._call(self._primaries):
            cursor, is_begun = 0, False
            while cursor or not is_begun:
                words = ("SCAN", cursor, "MATCH", pattern, "COUNT", _SCANNED_AT_ONCE)
                found = await self._on_node(node, words)
                cursor, keys = cast("tuple[int, list[bytes]]", found)
                is_begun = True
                if keys:
                    yield [key.decode("utf-8", "replace") for key in keys]

    async def size(self) -> tuple[int, int]:
        """Keys, and bytes of memory in use, of all that is on the servers, not only ours.

        Raises:
            CacheFailed: as `run`.
        """
        entries = size_bytes = 0
        for node in await self._call(self._primaries):
            entries += cast("int", await self._on_node(node, ("DBSIZE",)))
            memory = cast("dict[str, int]", await self._on_node(node, ("INFO", "memory")))
            size_bytes += int(memory.get("used_memory", 0))
        return entries, size_bytes

    def usage(self) -> RedisUsage:
        """How busy this process keeps it."""
        return RedisUsage(
            self._busy, self._waiting, self._limits.connections, self._failures, self.error is None
        )

    async def aclose(self) -> None:
        """Close every connection; a server that does not answer is not waited for."""
        if self._resetting is not None:
            await asyncio.wait({self._resetting})
        await self._reset()

    async def _call(self, work: Callable[[], Awaitable[T]]) -> T:
        permit = self._admit()
        give_up_at = asyncio.get_running_loop().time() + self._limits.timeout_s
        try:
            async with self._place(give_up_at):
                done = await self._run_until(give_up_at, work, permit)
                permit.succeeded()
        finally:
            permit.abandoned()  # counts only where nothing else was told
        return done

    async def _run_until(self, give_up_at: float, work: Callable[[], Awaitable[T]], permit: Permit) -> T:
        started = self._clock()
        try:
            async with asyncio.timeout_at(give_up_at):
                return await work()
        except TimeoutError as error:
            reason = f"no answer within {self._limits.timeout_s:g} s"
            if self._clock() - started < self._limits.timeout_s * _STALL:
                self._leave_alone(reason, permit)
            raise self._failed(reason) from error
        except Exception as error:  # whatever the client raises: under failures it raises a lot
            if _tells_of_an_outage(error):
                self._leave_alone(_reason(error), permit)
            raise self._failed(_reason(error)) from error

    def _admit(self) -> Permit:
        """Let a call through unless Redis is left alone; the first one after the pause goes alone."""
        try:
            return self._breaker.admit()
        except BreakerOpen as error:
            raise CacheFailed(
                f"Redis at {self.place} is left alone after a failure: {self.error}."
            ) from error

    @contextlib.asynccontextmanager
    async def _place(self, give_up_at: float) -> AsyncIterator[None]:
        """One of the connections: the cluster client refuses calls beyond its limit instead of waiting."""
        self._waiting += 1
        try:
            async with asyncio.timeout_at(give_up_at):
                await self._places.acquire()
        except TimeoutError as error:
            raise self._failed(
                f"all {self._limits.connections} connections (cache.redis_connections) were busy"
            ) from error
        finally:
            self._waiting -= 1
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
            self._places.release()

    def _leave_alone(self, reason: str, permit: Permit) -> None:
        permit.failed(reason)
        if self._resetting is None or self._resetting.done():
            self._resetting = asyncio.create_task(self._reset(), name="redis-reset")

    async def _reset(self) -> None:
        """Drop the connections; those of after a failover go where the Sentinels or the cluster say."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(self._limits.timeout_s):
                for client in (self._client, *self._sentinels):
                    await client.aclose()

    def _failed(self, reason: str) -> CacheFailed:
        self._failures += 1
        return CacheFailed(f"Redis at {self.place} failed: {reason}.")

    async def _pipeline(self, commands: Sequence[Command]) -> list[Reply]:
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        replies = await pipeline.execute(raise_on_error=False)
        for reply in replies:
            if isinstance(reply, Exception) and not _is_foreign(reply):
                raise reply
        return [None if isinstance(reply, Exception) else reply for reply in replies]

    async def _primaries(self) -> list[ClusterNode | None]:
        """The nodes that hold the keys; None stands for the one server."""
        from redis.asyncio import RedisCluster

        if not isinstance(self._client, RedisCluster):
            return [None]
        await self._client.initialize()
        return list(self._client.get_primaries())

    async def _on_node(self, node: ClusterNode | None, words: Command) -> Reply:
        # Past the cluster client, which gives back other shapes than one server does.
        server = self._client if node is None else node
        with _span(str(words[0])):
            return await self._call(lambda: server.execute_command(*words))


def open_redis(
    url: str, limits: RedisLimits, clock: Clock = time.monotonic, breakers: Breakers | None = None
) -> RedisClient:
    """A client for the Redis at the URL, its breaker among `breakers`: one failure opens it.

    Raises:
        InvalidSetting: the URL is none.
        NotReady: the extra is not installed.
    """
    address = read_redis_url(url)
    try:
        import redis.asyncio  # noqa: F401 (looked for, before anything is built)
    except ImportError as error:
        raise NotReady(
            "cache.redis_url is set, but the Redis client is not installed: pip install 'ragstone[redis]'."
        ) from error
    rules = BreakerRules(failures=1, open_s=limits.retry_s)
    breaker = (breakers or Breakers(clock=clock)).add("redis", rules)
    return RedisClient(address, limits, _build(address, limits), breaker, clock)


class _Shared(TypedDict):
    """What every connection is opened with."""

    username: str | None
    password: str | None
    protocol: int
    driver_info: None
    socket_timeout: float
    socket_connect_timeout: float
    max_connections: int


class _Tls(TypedDict, total=False):
    """What a connection under TLS is opened with, besides."""

    ssl: bool
    ssl_ca_certs: str | None


def _build(address: RedisAddress, limits: RedisLimits) -> tuple[Client, *tuple[Redis, ...]]:
    """The client, and those of the Sentinels that it asks for the way."""
    from redis.asyncio import Redis, RedisCluster
    from redis.asyncio.cluster import ClusterNode
    from redis.asyncio.retry import Retry
    from redis.asyncio.sentinel import Sentinel
    from redis.backoff import NoBackoff

    # RESP 2 and no greeting: older servers know nothing else.
    shared: _Shared = {
        "username": address.username,
        "password": address.password,
        "protocol": 2,
        "driver_info": None,
        # A call's own limit strikes first; these are for what the client does beside it.
        "socket_timeout": 2 * limits.timeout_s,
        "socket_connect_timeout": 2 * limits.timeout_s,
        "max_connections": limits.connections,
    }
    tls: _Tls = {"ssl": True, "ssl_ca_certs": address.ca_file} if address.is_tls else {}
    # Once more on a new connection: a server that was restarted has closed those that lay idle.
    again = Retry(NoBackoff(), 1)
    if address.kind == "cluster":
        nodes = [ClusterNode(host, port) for host, port in address.hosts]
        never = Retry(NoBackoff(), 0)  # it sleeps longer between attempts than a call has time
        cluster = RedisCluster(
            startup_nodes=nodes,
            require_full_coverage=False,
            retry=never,
            **shared,
            **tls,
        )
        return (cluster,)
    if address.kind == "sentinel":
        sentinel = Sentinel(address.hosts, sentinel_kwargs=_at_sentinels(address, limits) | tls)  # type: ignore[no-untyped-call]
        return (
            sentinel.master_for(address.service, db=address.database, retry=again, **shared, **tls),
            *sentinel.sentinels,
        )
    ((host, port),) = address.hosts
    return (Redis(host=host, port=port, db=address.database, retry=again, **shared, **tls),)


def _at_sentinels(address: RedisAddress, limits: RedisLimits) -> dict[str, object]:
    """So short a limit that one silent Sentinel leaves time for the others."""
    each_s = limits.timeout_s / (len(address.hosts) + 1)
    return {
        "username": address.sentinel_user,
        "password": address.sentinel_password,
        "protocol": 2,
        "driver_info": None,
        "socket_timeout": each_s,
        "socket_connect_timeout": each_s,
    }


def _span(operation: str) -> AbstractContextManager[Span | None]:
    """Around a call; keys and values stay out of it."""
    return span(operation, "client", {"db.system.name": "redis", "db.operation.name": operation})


def _tells_of_an_outage(error: Exception) -> bool:
    """Whether the next call would fail alike; a command refused for memory or rights tells of none."""
    from redis.exceptions import ClusterDownError, ReadOnlyError, ResponseError

    return not isinstance(error, ResponseError) or isinstance(error, ClusterDownError | ReadOnlyError)


def _is_foreign(error: Exception) -> bool:
    """Whether the key holds another type than the command expects."""
    return str(error).startswith("WRONGTYPE")


def _reason(error: Exception) -> str:
    """The error in a line without the arguments of a command: they are users' text."""
    text = _ARGUMENTS.sub("", _ANNOTATION.sub("", str(error))).strip().rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
