"""How this process is doing, as a row of the log every minute or so."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import structlog
from anyio import to_thread

from ragstone.analytics.asked import present_ms
from ragstone.errors import RagstoneError
from ragstone.store.query_log import SystemRow
from ragstone.types import DEFAULT_TENANT

if TYPE_CHECKING:
    from ragstone.analytics.query_log import QueryLog

log = structlog.get_logger(__name__)

GPU_TIMEOUT_S = 5.0
GPU_COMMAND = ("--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits")
MIB = 2**20


class Lookups(Protocol):
    """What a cache tells of itself."""

    @property
    def hits(self) -> Mapping[str, int]:
        """By tier."""
        ...

    @property
    def misses(self) -> int:
        """Lookups that found nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Gauges:
    """Where the figures of the product come from."""

    caches: Callable[[], Iterable[Lookups]]
    corpus: Callable[[], Awaitable[tuple[int, int]]]
    """Documents and chunks."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What had been counted at the last row."""

    at: float
    cpu_s: float
    hits: int
    lookups: int


class SystemSampler:
    """Writes a row every `every_s` seconds while it runs; 0 does without."""

    def __init__(self, query_log: QueryLog, gauges: Gauges, every_s: float) -> None:
        self._log = query_log
        self._gauges = gauges
        self._every_s = every_s
        self._process = f"{socket.gethostname()}:{os.getpid()}"
        self._task: asyncio.Task[None] | None = None
        self._seen = self._look()

    def start(self) -> None:
        """Begin; meant for servers and workers, not for single commands."""
        if self._every_s and self._task is None:
            self._task = asyncio.create_task(self._go(), name="system-metrics")

    async def aclose(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def sample(self) -> SystemRow:
        """One row, of what happened since the last one."""
        before, self._seen = self._seen, self._look()
        now, tally = self._seen, self._log.take_tally()
        spent_s = max(now.at - before.at, 1e-6)
        lookups = now.lookups - before.lookups
        documents, chunks = await self._corpus()
        gpu_percent, gpu_memory = await to_thread.run_sync(read_gpu)
        present = present_ms()
        return SystemRow(
            id=self._log.number(present),
            at_ms=present,
            process=self._process,
            tenant_id=DEFAULT_TENANT,
            cpu_percent=(now.cpu_s - before.cpu_s) * 100 / spent_s,
            memory_bytes=resident_bytes(),
            gpu_percent=gpu_percent,
            gpu_memory_bytes=gpu_memory,
            connections=open_sockets(),
            cache_hit_rate=(now.hits - before.hits) / lookups if lookups else None,
            documents=documents,
            chunks=chunks,
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
            except OSError as error:
                log.warning("system_metrics_not_read", error=type(error).__name__)

    async def _corpus(self) -> tuple[int | None, int | None]:
        try:
            return await self._gauges.corpus()
        except RagstoneError:
            return None, None

    def _look(self) -> _Seen:
        caches = list(self._gauges.caches())
        hits = sum(sum(cache.hits.values()) for cache in caches)
        misses = sum(cache.misses for cache in caches)
        return _Seen(time.monotonic(), time.process_time(), hits, hits + misses)


def resident_bytes() -> int | None:
    """Memory that this process holds; None where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def open_sockets() -> int | None:
    """Connections that this process holds open, its listening socket included."""
    try:
        links = [os.readlink(path) for path in _handles()]
    except OSError:
        return None
    return sum(link.startswith("socket:") for link in links)


def _handles() -> Iterable[str]:
    for handle in os.listdir("/proc/self/fd"):
        path = f"/proc/self/fd/{handle}"
        if os.path.islink(path):  # the handle of the listing itself is gone by now
            yield path


def read_gpu() -> tuple[float | None, int | None]:
    """Use in percent and memory in bytes of the busiest GPU; None without one. Blocks for up to 5 s."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return None, None
    try:
        done = subprocess.run(  # noqa: S603 (a program of the machine, no word of a user)
            [command, *GPU_COMMAND], capture_output=True, text=True, timeout=GPU_TIMEOUT_S, check=True
        )
        return parsed_gpu(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None, None


def parsed_gpu(table: str) -> tuple[float | None, int | None]:
    """The busiest row of what the driver's tool prints: percent, MiB."""
    rows = [[float(cell) for cell in line.split(",")] for line in table.splitlines() if line.strip()]
    if not rows:
        return None, None
    percent, memory = max(rows)
    return percent, int(memory * MIB)


def _mean(total: float, count: int) -> float | None:
    return total / count if count else None


