"""What was expensive to make, kept in this process and, behind it, in a tier that outlives it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, Literal, TypeVar

import msgspec
import structlog

from ragstone.cache.claims import Claims, LocalClaims
from ragstone.cache.memory import MemoryTier
from ragstone.cache.ports import CacheName, Entry, Tier, TierStatistics
from ragstone.errors import CacheFailed
from ragstone.settings import CacheSettings

log = structlog.get_logger(__name__)

T = TypeVar("T")
U = TypeVar("U")
MOST_WRITES = 256
"""Entries on their way into the tier behind; when it is that far behind, further ones stay in memory only."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a cache keeps an entry, and how much it may hold in this process; 0 bytes turns it off."""

    ttl_s: float
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """One of the caches: its name and how its values become bytes and come back."""

    name: CacheName
    encode: Callable[[T], bytes]
    decode: Callable[[bytes], T]
    keep: Literal["everywhere", "here", "behind"] = "everywhere"
    """In memory and behind it; in memory only; or behind it only, where all processes see the same value at
    any time (in memory while there is nothing behind)."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What making a value took: what a hit saves."""

    spent_ms: float = 0.0
    tokens: int = 0


@dataclass(slots=True)
class CacheStatistics:
    """What one cache has done since the process began, and what it holds now."""

    name: CacheName
    hits: dict[str, int] = field(default_factory=dict)
    """By tier: `memory`, `sqlite`, `redis`."""
    misses: int = 0
    sets: int = 0
    errors: int = 0
    """Entries that could not be read or kept; each counts as a miss, too."""
    saved_ms: float = 0.0
    saved_tokens: int = 0
    lookup_s: float = 0.0
    """Seconds spent looking, hit or not."""
    entries: int = 0
    size_bytes: int = 0
    max_bytes: int = 0
    ttl_s: float = 0.0

    @property
    def lookups(self) -> int:
        """Hits and misses."""
        return sum(self.hits.values()) + self.misses

    @property
    def hit_rate(self) -> float:
        """Share of lookups that found a value, 0..1; 0 before the first."""
        return sum(self.hits.values()) / self.lookups if self.lookups else 0.0


class _Record(msgspec.Struct, array_like=True):
    """A payload: the value with what it cost, when it was made, and of which collections."""

    made_at: float
    spent_ms: float
    tokens: int
    collections: tuple[str, ...]
    value: bytes
    ttl_s: float


_RECORDS = msgspec.msgpack.Decoder(_Record)


class Cache:
    """All caches of one engine over a memory tier each and one shared tier behind.

    Nothing here raises for the cache's sake: what cannot be read is a miss, what cannot be kept is not kept.
    `claims` says who of the processes that share the tier makes a value.
    """

    def __init__(
        self,
        limits: Mapping[CacheName, Limits],
        tier: Tier | None = None,
        claims: Claims | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.claims: Claims = claims or LocalClaims()
        self._limits = limits
        self._tier = tier
        self._tier_error: str | None = None
        self._clock = clock
        self._memory = {
            name: MemoryTier(limit.max_bytes, clock) for name, limit in limits.items() if limit.max_bytes
        }
        self._counts = {name: CacheStatistics(name) for name in limits}
        self._writing: set[asyncio.Task[None]] = set()

    @property
    def tier_name(self) -> str | None:
        """The tier behind: `sqlite`, `redis`, or None."""
        return None if self._tier is None else self._tier.name

    @property
    def tier_error(self) -> str | None:
        """Why the tier behind did not do what it was asked last; None when it did, or when there is none."""
        return self._tier_error

    def degraded(self) -> tuple[str, ...]:
        """What a response says while the tier behind does not answer, such as `cache:redis`."""
        return () if self._tier is None or self._tier_error is None else (f"cache:{self._tier.name}",)

    def is_on(self, name: CacheName) -> bool:
        """Whether this cache keeps anything."""
        return name in self._memory

    async def get(self, kind: Kind[T], key: str) -> T | None:
        """The value under `key`, or None."""
        return (await self.get_many(kind, [key]))[0]

    async def get_many(self, kind: Kind[T], keys: Sequence[str]) -> list[T | None]:
        """Values in the order of `keys`; the tier behind is asked once for all that memory lacks."""
        if not self.is_on(kind.name):
            return [None] * len(keys)
        began = time.perf_counter()
        memory, counts = self._memory[kind.name], self._counts[kind.name]
        payloads = [memory.get(key) if self._is_in_memory(kind) else None for key in keys]
        values = [None if payload is None else self._value(kind, payload, "memory") for payload in payloads]
        missing = [at for at, value in enumerate(values) if value is None]
        if missing and kind.keep != "here" and self._tier is not None:
            found = await self._behind(self._tier, kind.name, [keys[at] for at in missing])
            for at, payload in zip(missing, found, strict=True):
                if payload is not None and self._keep_found(kind, keys[at], payload):
                    values[at] = self._value(kind, payload, self._tier.name)
        counts.misses += sum(1 for value in values if value is None)
        counts.lookup_s += time.perf_counter() - began
        return values

    def peek(self, kind: Kind[T], key: str) -> T | None:
        """The value if this process has it in memory; counts a hit, but no miss."""
        if not self.is_on(kind.name):
            return None
        payload = self._memory[kind.name].get(key)
        return None if payload is None else self._value(kind, payload, "memory")

    def touch(self, kind: Kind[T], key: str) -> bool:
        """Whether this process has it in memory: found so, it is as recent and popular as one that is read.

        Counted is what was made of it, not this.
        """
        return self.is_on(kind.name) and self._memory[kind.name].get(key) is not None

    def choose(self, kind: Kind[T], key: str, take: Callable[[T], U | None]) -> U | None:
        """What `take` picks of the value that this process has in memory; counts as a hit only then."""
        if not self.is_on(kind.name):
            return None
        began = time.perf_counter()
        counts, value = self._counts[kind.name], self._remembered(kind, key)
        taken = None if value is None else take(value)
        if taken is None:
            counts.misses += 1
        else:
            counts.hits["memory"] = counts.hits.get("memory", 0) + 1
        counts.lookup_s += time.perf_counter() - began
        return taken

    def renew(
        self, kind: Kind[T], key: str, change: Callable[[T | None], T], collections: Sequence[str] = ()
    ) -> None:
        """Keep what `change` makes of the value in this process's memory, for a TTL from now."""
        if self.is_on(kind.name):
            self.put(kind, key, change(self._remembered(kind, key)), collections=collections)

    def put(
        self,
        kind: Kind[T],
        key: str,
        value: T,
        *,
        cost: Cost = Cost(),
        collections: Sequence[str] = (),
        ttl_s: float | None = None,
    ) -> None:
        """Keep a value: in memory at once, and in the tier behind soon unless it is of this process only."""
        self.put_many(kind, {key: value}, cost=cost, collections=collections, ttl_s=ttl_s)

    def put_many(
        self,
        kind: Kind[T],
        values: Mapping[str, T],
        *,
        cost: Cost = Cost(),
        collections: Sequence[str] = (),
        ttl_s: float | None = None,
    ) -> None:
        """Keep values by their keys, as `put` does; the tier behind takes them in one turn."""
        if not self.is_on(kind.name):
            return
        lasts_s = ttl_s or self._limits[kind.name].ttl_s
        entries = []
        for key, value in values.items():
            try:
                encoded = kind.encode(value)
            except (OverflowError, TypeError, ValueError) as error:
                self._counts[kind.name].errors += 1
                log.warning("cache_value_unfit", cache=kind.name, error=str(error))
                continue
            record = _Record(self._clock(), cost.spent_ms, cost.tokens, tuple(collections), encoded, lasts_s)
            entries.append(Entry(key, msgspec.msgpack.encode(record), lasts_s, record.collections))
        self._counts[kind.name].sets += len(entries)
        if self._is_in_memory(kind):
            for entry in entries:
                self._memory[kind.name].set(entry.key, entry.payload, lasts_s, entry.collections)
        if kind.keep != "here" and self._tier is not None and len(self._writing) < MOST_WRITES:
            writing = asyncio.ensure_future(self._write(self._tier, kind.name, entries))
            self._writing.add(writing)
            writing.add_done_callback(self._writing.discard)

    async def delete(self, key: str) -> None:
        """Forget one entry, everywhere."""
        name, _, _ = key.partition(":")
        for cache, memory in self._memory.items():
            if cache == name:
                memory.delete(key)
        if self._tier is not None:
            await self.written()
            await self._tier.delete_many([key])

    async def clear(self, pattern: str = "*", collection: str | None = None) -> int:
        """Forget every entry whose key matches the glob (and that was made of a collection); how many went.

        An entry that lay in memory and behind it counts once.

        Raises:
            CacheFailed: the tier behind does not answer; memory is cleared then.
        """
        await self.written()
        gone = sum(memory.clear(pattern, collection) for memory in self._memory.values())
        behind = 0 if self._tier is None else await self._tier.clear(pattern, collection)
        return max(gone, behind)

    async def written(self) -> None:
        """Return when the tier behind has taken what was kept so far, or has failed to."""
        if self._writing:
            await asyncio.wait(set(self._writing))

    def statistics(self) -> list[CacheStatistics]:
        """Figures of each cache, by name."""
        return [self._statistics_of(name) for name in sorted(self._counts)]

    async def tier_statistics(self) -> TierStatistics | None:
        """Figures of the tier behind, when there is one."""
        return None if self._tier is None else await self._tier.statistics()

    async def aclose(self) -> None:
        """Let the tier behind write what waits, and close it."""
        await self.written()
        if self._tier is not None:
            await self._tier.aclose()

    def _statistics_of(self, name: CacheName) -> CacheStatistics:
        memory, limit, counts = self._memory.get(name), self._limits[name], self._counts[name]
        return replace(
            counts,
            hits=dict(counts.hits),
            entries=memory.entries if memory else 0,
            size_bytes=memory.size_bytes if memory else 0,
            max_bytes=limit.max_bytes,
            ttl_s=limit.ttl_s,
        )

    def _is_in_memory(self, kind: Kind[T]) -> bool:
        return kind.keep != "behind" or self._tier is None

    def _value(self, kind: Kind[T], payload: bytes, tier: str) -> T | None:
        counts, read = self._counts[kind.name], self._read(kind, payload, tier)
        if read is None:
            return None
        value, record = read
        counts.hits[tier] = counts.hits.get(tier, 0) + 1
        counts.saved_ms += record.spent_ms
        counts.saved_tokens += record.tokens
        return value

    def _remembered(self, kind: Kind[T], key: str) -> T | None:
        """The value in memory; counts nothing."""
        payload = self._memory[kind.name].get(key)
        read = None if payload is None else self._read(kind, payload, "memory")
        return None if read is None else read[0]

    def _read(self, kind: Kind[T], payload: bytes, tier: str) -> tuple[T, _Record] | None:
        try:
            record = _RECORDS.decode(payload)
            if kind.keep == "behind" and record.made_at + record.ttl_s <= self._clock():
                return None  # a program's own value is not kept longer for being popular
            return kind.decode(record.value), record
        except (msgspec.DecodeError, ValueError) as error:
            self._counts[kind.name].errors += 1
            log.warning("cache_entry_unreadable", cache=kind.name, tier=tier, error=str(error))
            return None

    def _keep_found(self, kind: Kind[T], key: str, payload: bytes) -> bool:
        """Take what the tier behind had into memory for the rest of its time; False when that is over."""
        try:
            record = _RECORDS.decode(payload)
        except msgspec.DecodeError:
            self._counts[kind.name].errors += 1
            return False
        left_s = record.made_at + record.ttl_s - self._clock()
        if self._is_in_memory(kind):
            self._memory[kind.name].set(key, payload, left_s, record.collections)
        return left_s > 0

    async def _behind(self, tier: Tier, name: CacheName, keys: Sequence[str]) -> list[bytes | None]:
        try:
            found = await tier.get_many(keys)
        except CacheFailed as error:
            self._failed(name, error)
            return [None] * len(keys)
        self._tier_error = None
        return found

    async def _write(self, tier: Tier, name: CacheName, entries: Sequence[Entry]) -> None:
        try:
            await tier.set_many(entries)
        except CacheFailed as error:
            self._failed(name, error)

    def _failed(self, name: CacheName, error: CacheFailed) -> None:
        self._counts[name].errors += 1
        self._tier_error = error.message
        log.debug("cache_tier_failed", cache=name, error=error.message)


def limits_of(settings: CacheSettings) -> dict[CacheName, Limits]:
    """The limits of every cache as configured; all bytes are 0 when caching is off."""
    limits: dict[CacheName, Limits] = {
        "query_embedding": Limits(settings.query_embedding_ttl_s, settings.query_embedding_max_bytes),
        "retrieval": Limits(settings.retrieval_ttl_s, settings.retrieval_max_bytes),
        "answer": Limits(settings.answer_ttl_s, settings.answer_max_bytes),
        "generation": Limits(settings.generation_ttl_s, settings.generation_max_bytes),
        "semantic": Limits(
            settings.generation_ttl_s, settings.semantic_max_bytes if settings.semantic else 0
        ),
        "rendered": Limits(settings.answer_ttl_s, settings.rendered_max_bytes),
        "document": Limits(settings.document_ttl_s, settings.document_max_bytes),
        "values": Limits(settings.values_ttl_s, settings.values_max_bytes),
    }
    if settings.enabled:
        return limits
    return {name: replace(limit, max_bytes=0) for name, limit in limits.items()}
