"""The tier without Redis: rows of `home/cache.db`, so that a restart is warm."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import anyio
import structlog
from anyio import CapacityLimiter, to_thread

from ragstone.cache.codec import unwrap, wrap
from ragstone.cache.ports import Entry, TierStatistics
from ragstone.errors import CacheFailed
from ragstone.store.cache_rows import CacheRow, CacheRows, FoundRow

T = TypeVar("T")

QUEUED_BYTES_MAX = 16 * 2**20
WRITTEN_AT_ONCE = 256
USED_KEYS_MAX = 10_000
USE_NOTED_EVERY_S = 60.0
"""Recency is kept to the minute: a hit costs a write at most that often."""
SWEEP_EVERY_S = 60.0
GATHERED_S = 0.1
"""What comes within this of the first entry is written in the same turn."""
_LARGEST_SHARE = 8
"""No entry takes more than an eighth of the file."""

_log = structlog.get_logger(__name__)


class SqliteTier:
    """Reads at once, writes behind: `set_many` queues, one task writes what gathered in one turn.

    What waits is found by `get_many` of this process. A full queue drops entries and counts them. Expiry is
    by the wall clock (`clock`), as the file outlives the process.
    """

    name = "sqlite"

    def __init__(self, path: Path, max_bytes: int, clock: Callable[[], float] = time.time) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._reader = CacheRows(path, max_bytes)
        self._writer = CacheRows(path, max_bytes)
        self._reading_threads = CapacityLimiter(1)
        self._writing_threads = CapacityLimiter(1)
        self._write_turn = asyncio.Lock()
        self._waiting: dict[str, CacheRow] = {}
        self._waiting_bytes = 0
        self._in_writing: dict[str, CacheRow] = {}
        self._used_keys: dict[str, float] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._is_failing = False
        self._payload_bytes = self._stored_bytes = self._dropped = 0

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """As `Tier.get_many`."""
        if not keys:
            return []
        now = self._clock()
        queued = {key: row for key in keys if (row := self._queued(key)) is not None}
        asked = [key for key in keys if key not in queued]
        found = await self._reading(lambda: self._reader.read(asked, now)) if asked else {}
        self._note_use(found, now)
        return [self._payload(key, queued.get(key), found.get(key), now) for key in keys]

    async def set_many(self, entries: Sequence[Entry]) -> None:
        """As `Tier.set_many`; the entries are written soon."""
        now = self._clock()
        for entry in entries:
            self._queue(entry, now)
        if self._task is None and not self._closing.is_set():
            self._task = asyncio.create_task(self._write_behind(), name="cache-writer")
        self._wake.set()

    async def delete_many(self, keys: Sequence[str]) -> None:
        """As `Tier.delete_many`."""
        for key in keys:
            self._take(key)
        await self._writing(lambda: self._writer.delete(keys))

    async def clear(self, pattern: str = "*", collection: str | None = None) -> int:
        """As `Tier.clear`; what other processes have queued may still come."""
        await self._write_all()
        return await self._writing(lambda: self._writer.clear(pattern, collection))

    async def statistics(self) -> TierStatistics:
        """As `Tier.statistics`; what waits to be written is not counted."""
        entries, size_bytes, error = 0, 0, None
        try:
            entries, size_bytes = await self._reading(self._reader.figures)
        except CacheFailed as failure:
            error = failure.message
        return TierStatistics(
            self.name,
            entries,
            size_bytes,
            error is None,
            error,
            self._payload_bytes,
            self._stored_bytes,
            self._dropped,
        )

    async def aclose(self) -> None:
        """Write what waits and let the file go."""
        self._closing.set()
        with anyio.CancelScope(shield=True):
            self._wake.set()
            if self._task is not None:
                await self._task
            await self._reading(self._reader.close)
            await self._writing(self._writer.close)

    def _queue(self, entry: Entry, now: float) -> None:
        data = wrap(entry.payload, entry.key)
        self._payload_bytes += len(entry.payload)
        self._stored_bytes += len(data)
        self._take(entry.key)
        is_too_much = self._waiting_bytes + len(data) > QUEUED_BYTES_MAX
        if is_too_much or len(data) > self._max_bytes // _LARGEST_SHARE:
            self._dropped += 1
            return
        self._waiting[entry.key] = CacheRow(entry.key, data, now + entry.ttl_s, entry.collections)
        self._waiting_bytes += len(data)

    def _queued(self, key: str) -> CacheRow | None:
        return self._waiting.get(key) or self._in_writing.get(key)

    def _take(self, key: str) -> CacheRow | None:
        row = self._waiting.pop(key, None)
        if row is not None:
            self._waiting_bytes -= len(row.payload)
        return row

    def _payload(self, key: str, queued: CacheRow | None, found: FoundRow | None, now: float) -> bytes | None:
        if queued is not None:
            return unwrap(queued.payload, key) if queued.expires_at > now else None
        return None if found is None else unwrap(found.payload, key)

    def _note_use(self, found: dict[str, FoundRow], now: float) -> None:
        for key, row in found.items():
            if now - row.used_at >= USE_NOTED_EVERY_S and len(self._used_keys) < USED_KEYS_MAX:
                self._used_keys[key] = now

    async def _write_behind(self) -> None:
        """Write whenever something waits, sweep now and then, until closed and done."""
        while not self._closing.is_set() or self._waiting:
            await _set_within(self._wake, SWEEP_EVERY_S)
            if self._waiting:
                await _set_within(self._closing, GATHERED_S)
            self._wake.clear()
            try:
                await self._write_all()
            except CacheFailed as error:
                self._tell(error)
            else:
                self._is_failing = False

    def _tell(self, error: CacheFailed) -> None:
        if not self._is_failing:
            _log.warning("cache_not_written", reason=error.message)
        self._is_failing = True

    async def _write_all(self) -> None:
        """Write what waits now, and at least forget what expired."""
        await self._write_some()
        while self._waiting:
            await self._write_some()

    async def _write_some(self) -> None:
        """One turn. What cannot be written is dropped: it is only a cache."""
        async with self._write_turn:
            batch = {
                key: row
                for key in list(self._waiting)[:WRITTEN_AT_ONCE]
                if (row := self._take(key)) is not None
            }
            used_keys, self._used_keys = self._used_keys, {}
            self._in_writing = batch
            try:
                now = self._clock()
                await self._writing(lambda: self._writer.write(list(batch.values()), used_keys, now))
            except CacheFailed:
                self._dropped += len(batch)
                raise
            finally:
                self._in_writing = {}

    async def _reading(self, work: Callable[[], T]) -> T:
        return await to_thread.run_sync(work, limiter=self._reading_threads)

    async def _writing(self, work: Callable[[], T]) -> T:
        return await to_thread.run_sync(work, limiter=self._writing_threads)


async def _set_within(event: asyncio.Event, limit_s: float) -> None:
    """Return when the event is set, or when the time is over."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), limit_s)
