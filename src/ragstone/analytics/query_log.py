"""Writes the log: a request leaves a note in memory, one task stores what has gathered in a thread."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from ragstone.analytics.asked import Asked, present_ms
from ragstone.analytics.log_rows import RETRIEVE, LogRows, Noted, RowNumbers, generation_ms
from ragstone.analytics.write_behind import Buffer, WriteBehind
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
from ragstone.store.query_log_reads import DAY_MS

if TYPE_CHECKING:
    from prometheus_client import Counter
    from sqlalchemy import Connection

    from ragstone.settings import AnalyticsSettings
    from ragstone.store.log_file import LogFile
    from ragstone.telemetry.metrics import Metrics
    from ragstone.types import TenantId

FLUSH_AT = 20
"""Waiting requests that are stored at once; see docs/analytics.md for what that takes."""
BUFFERED = 10_000
"""Requests and errors that may wait each; what comes then is dropped and counted."""
OLDEST_MS = 600_000
"""What could not be stored for so long is dropped: the erasures that might name it are, too."""

T = TypeVar("T")


@dataclass(slots=True)
class Tally:
    """What was asked since somebody looked last; sums are milliseconds."""

    count: int = 0
    query_ms: float = 0.0
    retrieved: int = 0
    retrieval_ms: float = 0.0
    generated: int = 0
    generation_ms: float = 0.0


class _Rows(Generic[T]):
    """What waits for one table, oldest first."""

    def __init__(self, table: str, at_ms: Callable[[T], int], rows: Counter) -> None:
        self._table = table
        self._at_ms = at_ms
        self._rows = rows
        self._waiting: deque[T] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, row: T) -> None:
        """One more; beyond `BUFFERED` it is dropped."""
        if len(self._waiting) < BUFFERED:
            self._waiting.append(row)
        else:
            self.count(1, "dropped")

    def take(self) -> list[T]:
        """The next to be stored."""
        return [self._waiting.popleft() for _ in range(min(FLUSH_AT, len(self._waiting)))]

    def give_back(self, taken: Sequence[T], oldest_ms: int) -> None:
        """They could not be stored; those that came before `oldest_ms` are dropped."""
        young = [row for row in taken if self._at_ms(row) > oldest_ms]
        self._waiting.extendleft(reversed(young))
        self.count(len(taken) - len(young), "dropped")

    def drop_all(self) -> None:
        """None of them will be stored."""
        self.count(len(self._waiting), "dropped")
        self._waiting.clear()

    def count(self, count: int, outcome: Literal["stored", "dropped"]) -> None:
        """So many came to this end."""
        if count:
            self._rows.labels(self._table, outcome).inc(count)


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
        self._requests = _Rows[Noted]("query_logs", lambda noted: noted.asked.at_ms, metrics.log_rows)
        self._errors = _Rows[ErrorRow]("error_logs", lambda row: row.at_ms, metrics.log_rows)
        self._system = _Rows[SystemRow]("system_metrics", lambda row: row.at_ms, metrics.log_rows)
        self._tidied_day = -1
        self._tally = Tally()
        self._writer = WriteBehind(
            Buffer("log rows", lambda: self.waiting_count, self._store_some, self.tidy, FLUSH_AT)
        )
        metrics.log_waiting.set_function(lambda: self.waiting_count)

    @property
    def file(self) -> LogFile:
        """Where the rows lie."""
        return self._file

    @property
    def waiting_count(self) -> int:
        """Rows that are not stored yet."""
        return len(self._requests) + len(self._errors) + len(self._system)

    def start(self) -> None:
        """Store what is recorded every few seconds, until closed."""
        if self._settings.enabled:
            self._writer.start()

    def record(self, asked: Asked) -> None:
        """Note a request; an `AskedSink`."""
        if self._settings.enabled:
            self._count(asked)
            self._requests.add(Noted.of(asked))
            self._writer.wake()

    def record_error(self, row: ErrorRow) -> None:
        """Note an error."""
        if self._settings.enabled:
            self._errors.add(row)
            self._writer.wake()

    def record_system(self, row: SystemRow) -> None:
        """Note how this process is doing."""
        if self._settings.enabled:
            self._system.add(row)
            self._writer.wake()

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
        await self._writer.flush()

    async def erase(self, tenant_id: TenantId, subject: Subject) -> int:
        """Remove a subject's rows, here and what other processes have not stored yet; how many requests.

        Raises:
            StoreFailed: the file does not take it.
        """
        async with self._writer.turn:
            until_ms = self._clock_ms()
            await self._file.write(lambda found: note_erasure(found, tenant_id, subject, until_ms))
        await self._flush_quietly()
        count = await self._write_until_none(lambda found: erase_slice(found, tenant_id, subject, until_ms))
        await self._write_until_none(lambda found: erase_errors_slice(found, tenant_id, subject, until_ms))
        return count

    async def asked_only_by(self, tenant_id: TenantId, subject: Subject) -> list[str]:
        """Hashes of the questions that nobody else asked, as far as the log goes."""
        await self._flush_quietly()
        return await self._file.read(lambda found: hashes_only_of(found, tenant_id, subject))

    async def aclose(self) -> None:
        """Store what waits, and end."""
        await self._writer.aclose()
        for rows in (self._requests, self._errors, self._system):
            rows.drop_all()
        await self._file.aclose()

    async def _flush_quietly(self) -> None:
        with contextlib.suppress(RagstoneError):
            await self.flush()

    async def _store_some(self) -> None:
        """One batch."""
        requests, errors, system = self._requests.take(), self._errors.take(), self._system.take()
        began = time.perf_counter()
        try:
            await self._file.write(lambda found: store_batch(found, self._batch(requests, errors, system)))
        except RagstoneError:
            oldest_ms = self._clock_ms() - OLDEST_MS
            self._requests.give_back(requests, oldest_ms)
            self._errors.give_back(errors, oldest_ms)
            self._system.give_back(system, oldest_ms)
            raise
        except Exception:
            self._count_all(requests, errors, system, "dropped")
            raise
        self._metrics.log_write_seconds.observe(time.perf_counter() - began)
        self._count_all(requests, errors, system, "stored")

    def _count_all(
        self,
        requests: Sequence[Noted],
        errors: Sequence[ErrorRow],
        system: Sequence[SystemRow],
        outcome: Literal["stored", "dropped"],
    ) -> None:
        self._requests.count(len(requests), outcome)
        self._errors.count(len(errors), outcome)
        self._system.count(len(system), outcome)

    def _batch(self, requests: list[Noted], errors: list[ErrorRow], system: list[SystemRow]) -> LogBatch:
        rows = [self._rows.of(noted) for noted in requests]
        accesses = [access for _, found in rows for access in found]
        return LogBatch([row for row, _ in rows], accesses, errors, system)

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
            await self._write_until_none(partial(remove_older, table_name=name, before_ms=before))
        await self._file.write(lambda found: drop_erasures(found, present - 2 * OLDEST_MS))
        self._tidied_day = present // DAY_MS

    async def _write_until_none(self, write: Callable[[Connection], int]) -> int:
        """Slice by slice, so that other writers have their turns; the sum."""
        count = 0
        while gone := await self._file.write(write):
            count += gone
        return count

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
