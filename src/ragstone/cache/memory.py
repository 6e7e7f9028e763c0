"""The first tier: entries of this process, bounded by bytes, least recently used first out."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Callable
from dataclasses import dataclass

from cachetools import TLRUCache

OVERHEAD_BYTES = 250
"""What an entry takes beside its payload and key: two dictionary places and four objects, measured with
tracemalloc (November 2026)."""
POPULAR = ((10, 2.0), (5, 1.5))
"""From so many hits on, an entry lives so many times its TTL."""


@dataclass(slots=True)
class MemoryEntry:
    """A payload with what was paid for it."""

    payload: bytes
    set_at: float
    ttl_s: float
    collections: tuple[str, ...]
    size_bytes: int
    hits: int = 0

    @property
    def expires_at(self) -> float:
        """The TTL, longer for what is popular."""
        factor = next((factor for hits, factor in POPULAR if self.hits >= hits), 1.0)
        return self.set_at + self.ttl_s * factor


class MemoryTier:
    """A bounded cache: true LRU, TTL per entry, longer for popular ones."""

    def __init__(self, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: TLRUCache[str, MemoryEntry] = TLRUCache(
            max_bytes,
            ttu=lambda _key, entry, _now: entry.expires_at,
            timer=clock,
            getsizeof=lambda entry: entry.size_bytes,
        )

    def get(self, key: str) -> bytes | None:
        """The payload, or None; a hit counts for its popularity."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        entry.hits += 1
        if any(entry.hits == hits for hits, _ in POPULAR):
            self._entries[key] = entry
        return entry.payload

    def set(self, key: str, payload: bytes, ttl_s: float, collections: tuple[str, ...] = ()) -> bool:
        """Keep an entry; whether it could be kept: one larger than the whole cache is not.

        What was there under the key is gone either way.
        """
        size = len(payload) + len(key) + OVERHEAD_BYTES
        if ttl_s <= 0 or size > self._entries.maxsize:
            self.delete(key)
            return False
        self._entries[key] = MemoryEntry(payload, self._clock(), ttl_s, collections, size)
        return True

    def delete(self, key: str) -> None:
        """Forget one entry."""
        self._entries.pop(key, None)

    def clear(self, pattern: str = "*", collection: str | None = None) -> int:
        """Forget the entries whose key matches the glob (and that are of the collection); how many."""
        self._entries.expire()
        matching = [key for key in list(self._entries) if fnmatch.fnmatchcase(key, pattern)]
        gone = 0
        for key in matching:
            # None when its time ended between the two looks.
            entry = self._entries.get(key)
            if entry is not None and (collection is None or collection in entry.collections):
                self.delete(key)
                gone += 1
        return gone

    @property
    def entries(self) -> int:
        """Entries now; expired ones do not count."""
        self._entries.expire()
        return len(self._entries)

    @property
    def size_bytes(self) -> int:
        """Bytes now, what an entry takes beside its payload included."""
        self._entries.expire()
        return int(self._entries.currsize)
