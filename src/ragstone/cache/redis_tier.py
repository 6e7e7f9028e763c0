"""The tier that processes share: entries in Redis, one key each, so that a cluster spreads them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from ragstone.cache.codec import unwrap, wrap
from ragstone.cache.ports import Entry, TierStatistics
from ragstone.errors import CacheFailed
from ragstone.net.redis import Command, RedisClient

ENTRY_PREFIX = "ragstone:1:"
"""The number is the layout's: another layout never reads these."""
COLLECTION_PREFIX = "ragstone:collection:1:"
_UNLINKED_AT_ONCE = 500
_SLACK_MS = 3_600_000
"""How far the clocks of processes may be apart before the set of a collection forgets a living entry."""

_JOIN = """
for i = 3, #ARGV, 2 do redis.call('ZADD', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', tonumber(ARGV[1]) - tonumber(ARGV[2]))
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if last[2] then
    redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', tonumber(last[2]) + tonumber(ARGV[2])))
end
return #last
"""
"""Members by the end of their entry: those whose entry ended go, the set itself ends with its last one."""


class RedisTier:
    """Entries under `ragstone:1:{key}`; the keys of each collection in a sorted set of its own."""

    name = "redis"

    def __init__(self, redis: RedisClient, clock: Callable[[], float] = time.time) -> None:
        self._redis = redis
        self._clock = clock
        self._payload_bytes = self._stored_bytes = 0

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """As `Tier.get_many`; one GET each, as the keys of a cluster lie apart."""
        replies = await self._redis.run([("GET", ENTRY_PREFIX + key) for key in keys])
        return [
            unwrap(reply, key) if isinstance(reply, bytes) else None
            for key, reply in zip(keys, replies, strict=True)
        ]

    async def set_many(self, entries: Sequence[Entry]) -> None:
        """As `Tier.set_many`; the sets of collections first, so that no entry is beyond `clear`."""
        await self._redis.run([*self._joins(entries)])
        await self._redis.run([self._set(entry) for entry in entries])

    async def delete_many(self, keys: Sequence[str]) -> None:
        """As `Tier.delete_many`."""
        await self._redis.run([("UNLINK", ENTRY_PREFIX + key) for key in keys])

    async def clear(self, pattern: str = "*", collection: str | None = None) -> int:
        """As `Tier.clear`; step by step, other calls go on in between."""
        if collection is not None:
            return await self._clear_collection(pattern, collection)
        cleared = 0
        # A backslash would escape in Redis only.
        async for keys in self._redis.scan(ENTRY_PREFIX + pattern.replace("\\", "\\\\")):
            cleared += await self._unlink(keys)
        return cleared

    async def statistics(self) -> TierStatistics:
        """As `Tier.statistics`; entries and bytes are those of the servers, whoever put them there."""
        entries, size_bytes, error = 0, 0, None
        try:
            entries, size_bytes = await self._redis.size()
        except CacheFailed as failure:
            error = failure.message
        return TierStatistics(
            self.name, entries, size_bytes, error is None, error, self._payload_bytes, self._stored_bytes
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    def _set(self, entry: Entry) -> Command:
        data = wrap(entry.payload, entry.key)
        self._payload_bytes += len(entry.payload)
        self._stored_bytes += len(data)
        return ("SET", ENTRY_PREFIX + entry.key, data, "PX", _milliseconds(entry.ttl_s))

    def _joins(self, entries: Sequence[Entry]) -> list[Command]:
        now_ms = _milliseconds(self._clock())
        members: dict[str, list[str | int]] = {}
        for entry in entries:
            for collection in entry.collections:
                ends_at = now_ms + _milliseconds(entry.ttl_s)
                members.setdefault(collection, []).extend((ends_at, entry.key))
        return [
            ("EVAL", _JOIN, 1, COLLECTION_PREFIX + collection, now_ms, _SLACK_MS, *scored)
            for collection, scored in members.items()
        ]

    async def _clear_collection(self, pattern: str, collection: str) -> int:
        name = COLLECTION_PREFIX + collection
        (found,) = await self._redis.run([("ZRANGE", name, 0, -1)])
        members = [member.decode() for member in found] if isinstance(found, list) else []
        going = [member for member in members if fnmatchcase(member, pattern.replace("[^", "[!"))]
        cleared = 0
        for start in range(0, len(going), _UNLINKED_AT_ONCE):
            part = going[start : start + _UNLINKED_AT_ONCE]
            cleared += await self._unlink([ENTRY_PREFIX + member for member in part])
            await self._redis.run([("ZREM", name, *part)])
        return cleared

    async def _unlink(self, keys: Sequence[str]) -> int:
        replies = await self._redis.run([("UNLINK", key) for key in keys])
        return sum(reply for reply in replies if isinstance(reply, int))


def _milliseconds(seconds: float) -> int:
    """At least one: Redis refuses a life of nothing."""
    return max(1, round(seconds * 1000))
