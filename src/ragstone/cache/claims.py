"""Single-flight across processes: who claims a key makes its value, the others wait for it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import Protocol

import structlog

from ragstone.cancellation import end_tasks, run_to_end
from ragstone.deadline import Deadline
from ragstone.errors import CacheFailed
from ragstone.net.redis import RedisClient

CLAIM_TTL_S = 3.0
"""A holder that was killed hands over within this time."""
CLAIM_PREFIX = "ragstone:claim:1:"
_RENEWALS_PER_TTL = 3
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.01, 0.2

_RENEW = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('PEXPIRE', KEYS[1], ARGV[2]) or 0"
_RELEASE = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0"

_log = structlog.get_logger(__name__)


class Claim(Protocol):
    """The right to make one value, held until released."""

    async def release(self) -> None:
        """Let the others go on, also when the caller is cancelled; what cannot be released runs out."""
        ...


class Claims(Protocol):
    """Who makes what, among all processes that share a cache.

    It saves work and promises nothing: two may hold one key when what they share is lost in between.
    """

    async def claim(self, key: str, ttl_s: float = CLAIM_TTL_S) -> Claim | None:
        """The claim, renewed until it is released; None when another process holds it.

        When nobody can say, everyone gets one and works for himself.
        """
        ...

    async def wait(self, key: str, deadline: Deadline) -> bool:
        """Until nobody holds the key, its holder's death included; False when the time was over first.

        True as well when nobody can say who holds it: look into the cache, then claim.
        """
        ...


class LocalClaim:
    """A claim that nobody else asks for."""

    async def release(self) -> None:
        """Nothing is held."""


class LocalClaims:
    """For processes that share nothing: always claims."""

    async def claim(self, key: str, ttl_s: float = CLAIM_TTL_S) -> Claim | None:  # noqa: ARG002 (the port's)
        """As `Claims.claim`."""
        return LocalClaim()

    async def wait(self, key: str, deadline: Deadline) -> bool:  # noqa: ARG002 (the port's)
        """As `Claims.wait`."""
        return True


class RedisClaim:
    """A key with a token of the holder's own, renewed by a task as long as it is held."""

    def __init__(self, redis: RedisClient, key: str, token: str, ttl_s: float) -> None:
        self._redis = redis
        self._key = key
        self._token = token
        self._ttl_s = ttl_s
        self._is_released = False
        self._renewing = asyncio.create_task(self._renew(), name="claim-renewal")

    async def release(self) -> None:
        """As `Claim.release`; a claim that ran out and is another's by now is left to it."""
        self._is_released = True
        await run_to_end(self._release())

    async def _release(self) -> None:
        await end_tasks([self._renewing])
        with contextlib.suppress(CacheFailed):
            await self._redis.run([("EVAL", _RELEASE, 1, self._key, self._token)])

    async def _renew(self) -> None:
        while not self._is_released:
            await asyncio.sleep(self._ttl_s / _RENEWALS_PER_TTL)
            with contextlib.suppress(CacheFailed):
                ttl_ms = round(self._ttl_s * 1000)
                (is_held,) = await self._redis.run([("EVAL", _RENEW, 1, self._key, self._token, ttl_ms)])
                if not is_held:
                    _log.info("claim_lost", reason="it ran out before it was renewed")
                    return


class RedisClaims:
    """Claims as keys of Redis that expire."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis

    async def claim(self, key: str, ttl_s: float = CLAIM_TTL_S) -> Claim | None:
        """As `Claims.claim`."""
        name, token = CLAIM_PREFIX + key, secrets.token_hex(16)
        try:
            (taken,) = await self._redis.run([("SET", name, token, "NX", "PX", round(ttl_s * 1000))])
        except CacheFailed:
            return LocalClaim()
        return RedisClaim(self._redis, name, token, ttl_s) if taken else None

    async def wait(self, key: str, deadline: Deadline) -> bool:
        """As `Claims.wait`, asking every 10 to 200 ms."""
        pause_s = _FIRST_PAUSE_S
        while not deadline.is_over:
            try:
                (is_held,) = await self._redis.run([("EXISTS", CLAIM_PREFIX + key)])
            except CacheFailed:
                return True
            if not is_held:
                return True
            await asyncio.sleep(deadline.at_most(pause_s))
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
        return False
