"""How this process is doing, as a row of the log every minute or so."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from anyio import to_thread

from ragstone.analytics.asked import present_ms
from ragstone.cancellation import end_tasks
from ragstone.errors import RagstoneError
from ragstone.store.query_log import SystemRow
from ragstone.types import DEFAULT_TENANT

if TYPE_CHECKING:
    from ragstone.analytics.query_log import QueryLog
    from ragstone.store.audit import CorpusCounts
    from ragstone.telemetry.collectors import CacheFigures
    from ragstone.telemetry.resources import Resources

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Figures:
    """Where they come from."""

    resources: Callable[[], Resources]
    caches: Callable[[], Iterable[CacheFigures]]
    corpus: Callable[[], Awaitable[CorpusCounts]]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What had been counted at the last row."""

    at: float
    cpu_s: float
    hits: int
    lookups: int


class SystemSampler:
    """Writes a row every `every_s` seconds once started; 0 does without."""

    def __init__(self, query_log: QueryLog, figures: Figures, every_s: float) -> None:
        self._log = query_log
        self._figures = figures
        self._every_s = every_s
        self._process = f"{socket.gethostname()}:{os.getpid()}"
        self._task: asyncio.Task[None] | None = None
        self._seen = self._look(time.process_time())

    def start(self) -> None:
        """Begin; meant for servers and workers, not for single commands."""
        if self._every_s and self._task is None:
            self._task = asyncio.create_task(self._go(), name="system-metrics")

    async def aclose(self) -> None:
        """End."""
        if self._task is not None:
            await end_tasks([self._task])

    async def sample(self) -> SystemRow:
        """One row, of what happened since the last one."""
        found = await to_thread.run_sync(self._figures.resources)
        counts = await self._counts()
        before, self._seen = self._seen, self._look(found.cpu_s)
        now, tally, present = self._seen, self._log.take_tally(), present_ms()
        spent_s, lookups = max(now.at - before.at, 1e-3), now.lookups - before.lookups
        return SystemRow(
            id=self._log.number(present),
            at_ms=present,
            process=self._process,
            tenant_id=DEFAULT_TENANT,
            cpu_percent=max(0.0, now.cpu_s - before.cpu_s) * 100 / spent_s,
            memory_bytes=found.resident_bytes,
            gpu_percent=max((gpu.busy_ratio * 100 for gpu in found.gpus), default=None),
            gpu_memory_bytes=sum(gpu.used_bytes for gpu in found.gpus) if found.gpus else None,
            connections=found.connections,
            cache_hit_rate=(now.hits - before.hits) / lookups if lookups else None,
            documents=None if counts is None else counts.documents,
            chunks=None if counts is None else counts.chunks,
            mean_query_ms=_mean(tally.query_ms, tally.count),
            mean_retrieval_ms=_mean(tally.retrieval_ms, tally.retrieved),
            mean_generation_ms=_mean(tally.generation_ms, tally.generated),
            queries_per_minute=tally.count * 60 / spent_s,
        )

    async def _go(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            try:
                self._log.record_system(await self.sample())
            except Exception as error:  # a look that fails once is tried again  # noqa: BLE001
                log.warning("system_metrics_not_read", error=type(error).__name__)

    async def _counts(self) -> CorpusCounts | None:
        try:
            return await self._figures.corpus()
        except RagstoneError:
            return None

    def _look(self, cpu_s: float) -> _Seen:
        caches = list(self._figures.caches())
        hits = sum(sum(cache.hits.values()) for cache in caches)
        return _Seen(time.monotonic(), cpu_s, hits, hits + sum(cache.misses for cache in caches))


def _mean(total: float, count: int) -> float | None:
    return total / count if count else None
