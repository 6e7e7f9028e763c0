"""Writes the log: a request leaves a note in memory, one task stores what has gathered in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from ragstone.analytics.asked import Asked, present_ms
from ragstone.analytics.log_rows import RETRIEVE, LogRows, Noted, RowNumbers, generation_ms
from ragstone.cancellation import run_to_end
from ragstone.errors import RagstoneError
from ragstone.store.log_tables import TABLES
from ragstone.store.query_log import (
    ErrorRow,
    LogBatch,
    RowId,
    Subject,
    SystemRow,
    drop_erasures,
    erase_errors_slice,
    erase_slice,
    hashes_only_of,
    note_erasure,
    remove_older,
    store_batch,
)

if TYPE_CHECKING:
    from ragstone.settings import AnalyticsSettings
    from ragstone.store.log_file import LogFile
    from ragstone.telemetry.metrics import Metrics
    from ragstone.types import TenantId

log = structlog.get_logger(__name__)

FLUSH_S = 2.0
FLUSH_AT = 20
"""Waiting requests that are stored at once; see docs/analytics.md for what that takes."""
BUFFERED = 10_000
"""Requests and errors that may wait each; what comes then is dropped and counted."""
OLDEST_MS = 600_000
"""What could not be stored for so long is dropped: the erasures that might name it are, too."""
DAY_MS = 86_400_000


@dataclass(slots=True)
class Tally:
    """What was asked since somebody looked last; sums are milliseconds."""

    count: int = 0
    query_ms: float = 0.0
    retrieved: int = 0
    retrieval_ms: float = 0.0
    generated: int = 0
    generation_ms: float = 0.0


@dataclass(slots=True)
class _Waiting:
    requests: deque[Noted] = field(default_factory=deque)
    errors: deque[ErrorRow] = field(default_factory=deque)
    system: deque[SystemRow] = field(default_factory=deque)

    def __len__(self) -> int:
        return len(self.requests) + len(self.errors) + len(self.system)


class QueryLog:
    """The log of this process. `record` never waits; `aclose` stores what is left."""

    def __init__(
        self,
        file: LogFile,
        settings: AnalyticsSettings,
        metrics: Metrics,
        model: str | None = None,
        clock_ms: Callable[[], int] = present_ms,
    ) -> None:
        self._file = file
        self._settings = settings
        self._metrics = metrics
        self._clock_ms = clock_ms
        self._numbers = RowNumbers()
        self._rows = LogRows(settings, RowNumbers(), model)  # of its own: it works in a thread
        self._waiting = _Waiting()
        self._changed, self._full = asyncio.Event(), asyncio.Event()
        self._turn = asyncio.Lock()
        self._loop: asyncio.Task[None] | None = None
        self._tidied_day = -1
        self._is_failing = False
        self._tally = Tally()
        metrics.log_waiting.set_function(lambda: len(self._waiting))

    @property
    def file(self) -> LogFile:
        """Where the rows lie."""
        return self._file

    @property
    def waiting_count(self) -> int:
        """Rows that are not stored yet."""
        return len(self._waiting)

    def start(self) -> None:
        """Store what is recorded every few seconds, until closed."""
        if self._settings.enabled:
            self._loop = asyncio.create_task(self._go(), name="query-log")

    def record(self, asked: Asked) -> None:
        """Note a request; an `AskedSink`."""
        if not self._settings.enabled:
            return
        self._count(asked)
        if self._has_room(self._waiting.requests, "query_logs"):
            self._waiting.requests.append(Noted.of(asked))
            self._wake()

    def record_error(self, row: ErrorRow) -> None:
        """Note an error."""
        if self._settings.enabled and self._has_room(self._waiting.errors, "error_logs"):
            self._waiting.errors.append(row)
            self._wake()

    def record_system(self, row: SystemRow) -> None:
        """Note how this process is doing."""
        if self._settings.enabled and self._has_room(self._waiting.system, "system_metrics"):
            self._waiting.system.append(row)
            self._wake()

    def number(self, at_ms: int) -> RowId:
        """The number of a new row."""
        return self._numbers.next(at_ms)

    def take_tally(self) -> Tally:
        """What was asked since the last call."""
        taken, self._tally = self._tally, Tally()
        return taken

    async def flush(self) -> None:
        """Store what waits.

        Raises:
            StoreFailed: the file does not take it; it waits on.
        """
        async with self._turn:
            while len(self._waiting):
                await run_to_end(self._store_some())

    async def erase(self, tenant_id: TenantId, subject: Subject) -> int:
        """Remove a subject's rows, here and what other processes have not stored yet; how many requests.

        Raises:
            StoreFailed: the file does not take it.
        """
        async with self._turn:
            until_ms = self._clock_ms()
            await self._file.write(lambda found: note_erasure(found, tenant_id, subject, until_ms))
        await self._flush_quietly()
        count = 0
        for erase in (erase_slice, erase_errors_slice):
            while gone := await self._file.write(
                lambda found, erase=erase: erase(found, tenant_id, subject, until_ms)  # type: ignore[misc]
            ):
                count += gone if erase is erase_slice else 0
        return count

    async def asked_only_by(self, tenant_id: TenantId, subject: Subject) -> list[str]:
        """Hashes of the questions that nobody else asked, as far as the log goes."""
        await self._flush_quietly()
        return await self._file.read(lambda found: hashes_only_of(found, tenant_id, subject))

    async def aclose(self) -> None:
        """Store what waits, and end."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
        try:
            await self.flush()
        except Exception as error:  # closing goes on; no traceback, it could show a question  # noqa: BLE001
            count = len(self._waiting)
            self._drop(len(self._waiting.requests), "query_logs")
            self._drop(len(self._waiting.errors), "error_logs")
            self._drop(len(self._waiting.system), "system_metrics")
            log.warning("log_rows_lost", failure=type(error).__name__, count=count)
        await self._file.aclose()

    async def _flush_quietly(self) -> None:
        with contextlib.suppress(RagstoneError):
            await self.flush()

    async def _go(self) -> None:
        while True:
            await self._changed.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_S):
                    await self._full.wait()
            self._changed.clear()
            self._full.clear()
            try:
                await self.flush()
                await self.tidy()
                self._is_failing = False
            except RagstoneError as error:  # they wait on; no traceback, it could show a question
                self._tell(error)
                self._changed.set()
            except Exception as error:  # noqa: BLE001
                log.error("log_rows_lost", failure=type(error).__name__)  # noqa: TRY400 - as above

    def _tell(self, error: RagstoneError) -> None:
        if not self._is_failing:
            log.warning("log_rows_not_stored", code=error.code, count=len(self._waiting))
        self._is_failing = True

    async def _store_some(self) -> None:
        """One batch; what cannot be stored goes back to where it was."""
        waiting = self._waiting
        requests = [waiting.requests.popleft() for _ in range(min(FLUSH_AT, len(waiting.requests)))]
        errors = [waiting.errors.popleft() for _ in range(min(FLUSH_AT, len(waiting.errors)))]
        system = [waiting.system.popleft() for _ in range(min(FLUSH_AT, len(waiting.system)))]
        began = time.perf_counter()
        try:
            await self._file.write(lambda found: store_batch(found, self._batch(requests, errors, system)))
        except RagstoneError:
            waiting.requests.extendleft(reversed(self._young(requests)))
            waiting.errors.extendleft(reversed(errors))
            waiting.system.extendleft(reversed(system))
            raise
        except Exception:
            # What nobody foresaw must not keep all later rows waiting.
            for lost, table in ((requests, "query_logs"), (errors, "error_logs"), (system, "system_metrics")):
                self._drop(len(lost), table)
            raise
        self._metrics.log_write_seconds.observe(time.perf_counter() - began)
        for table, rows in (("query_logs", requests), ("error_logs", errors), ("system_metrics", system)):
            self._metrics.log_rows.labels(table, "stored").inc(len(rows))

    def _batch(self, requests: list[Noted], errors: list[ErrorRow], system: list[SystemRow]) -> LogBatch:
        rows = [self._rows.of(noted) for noted in requests]
        accesses = [access for _, found in rows for access in found]
        return LogBatch([row for row, _ in rows], accesses, errors, system)

    def _young(self, requests: list[Noted]) -> list[Noted]:
        oldest = self._clock_ms() - OLDEST_MS
        young = [noted for noted in requests if noted.asked.at_ms > oldest]
        self._drop(len(requests) - len(young), "query_logs")
        return young

    async def tidy(self) -> None:
        """Once a day, in each process: remove what is too old, slice by slice.

        Raises:
            StoreFailed: the file does not take it.
        """
        present = self._clock_ms()
        if present // DAY_MS == self._tidied_day:
            return
        before = present - self._settings.retention_days * DAY_MS
        for name in TABLES:
            while await self._file.write(lambda found, name=name: remove_older(found, name, before)):  # type: ignore[misc]
                pass
        await self._file.write(lambda found: drop_erasures(found, present - 2 * OLDEST_MS))
        self._tidied_day = present // DAY_MS

    def _count(self, asked: Asked) -> None:
        tally, timings = self._tally, asked.timings_ms
        total, is_answer = timings.get("total", 0.0), asked.asking.kind == "ask"
        tally.count += 1
        tally.query_ms += total
        if asked.cache != "hit" and asked.error_code is None:
            tally.retrieved += 1
            tally.retrieval_ms += timings.get(RETRIEVE, 0.0) if is_answer else total
            tally.generated += is_answer
            tally.generation_ms += generation_ms(timings)

    def _has_room(
        self, waiting: deque[object] | deque[Noted] | deque[ErrorRow] | deque[SystemRow], table: str
    ) -> bool:
        has_room = len(waiting) < BUFFERED
        if not has_room:
            self._drop(1, table)
        return has_room

    def _drop(self, count: int, table: str) -> None:
        if count:
            self._metrics.log_rows.labels(table, "dropped").inc(count)

    def _wake(self) -> None:
        self._changed.set()
        if len(self._waiting) >= FLUSH_AT:
            self._full.set()
