"""Keeps the traces of answers: in memory while a request runs, in the database a moment later."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from anyio import to_thread
from msgspec import structs

from ragstone.analytics.asked import present_ms
from ragstone.analytics.trace_record import TraceRecord, decode, encode, record_of
from ragstone.analytics.words import digest_of
from ragstone.analytics.write_behind import Buffer, WriteBehind
from ragstone.errors import RagstoneError
from ragstone.store.answer_traces import TraceRow, find_trace, prune_traces, put_traces
from ragstone.store.queries import DAY_MS, WHOLE_TENANT, audience_of, erasures

if TYPE_CHECKING:
    from ragstone.analytics.asked import Asked
    from ragstone.settings import TelemetrySettings
    from ragstone.store.database import Database, StoreConnection
    from ragstone.telemetry.metrics import Metrics
    from ragstone.types import Principal, TenantId

FLUSH_AT = 200
BUFFERED = 2_000
"""Traces that may wait; what comes then is not kept."""
REPEATS = 100
"""Of those, answers that were sent again as they were: at thousands a second, a sample is kept."""
OLDEST_MS = 600_000
"""A trace that could not be stored for so long is dropped: the erasures that might name it are, too."""
PRUNE_MS = 60_000


class AnswerTraces:
    """Takes the record of each answer; `record` never waits, `aclose` stores what is left."""

    def __init__(
        self,
        database: Database,
        settings: TelemetrySettings,
        metrics: Metrics,
        clock_ms: Callable[[], int] = present_ms,
        *,
        are_texts_kept: bool = True,
    ) -> None:
        """Without `are_texts_kept` a trace has no question and no request."""
        self._database = database
        self._settings = settings
        self._are_texts_kept = are_texts_kept
        self._metrics = metrics
        self._clock_ms = clock_ms
        self._waiting: dict[str, Asked] = {}
        self._repeats = 0
        self._pruned_ms = 0
        buffer = Buffer("answer traces", lambda: len(self._waiting), self._store_some, self._prune, FLUSH_AT)
        self._writer = WriteBehind(buffer)

    def start(self) -> None:
        """Store what is recorded every few seconds, until closed."""
        if self._settings.answer_traces:
            self._writer.start()

    def __call__(self, asked: Asked) -> None:
        """Keep the trace of an answer; of other requests there is none."""
        if asked.answer_id is None or asked.trail is None or not self._settings.answer_traces:
            return
        is_repeat = asked.trail.is_rendered
        if len(self._waiting) >= BUFFERED or (is_repeat and self._repeats >= REPEATS):
            self._metrics.answer_traces.labels("dropped").inc()
            return
        self._repeats += is_repeat
        self._waiting[asked.answer_id] = asked
        self._writer.wake()

    def forget(self, tenant_id: TenantId, digest: bytes | None) -> None:
        """Drop waiting traces of one question of a tenant, or of all."""
        for name, asked in list(self._waiting.items()):
            search = asked.asking.search
            if search.principal.tenant_id == tenant_id and digest in (None, digest_of(search.query)):
                del self._waiting[name]

    async def find(self, name: str, principal: Principal) -> TraceRecord | None:
        """The trace of an answer, by its id or by the id of its request, when this reader may see it.

        Raises:
            StoreFailed: the database does not answer.
        """
        row = self._among_waiting(name) or await self._stored(name, principal)
        if row is None or row.tenant_id != principal.tenant_id:
            return None
        if principal.access_groups is not None and row.audience != audience_of(principal):
            return None
        try:
            return decode(row.body)
        except ValueError:
            return None

    async def flush(self) -> None:
        """Store what waits.

        Raises:
            StoreFailed: the database does not take it; it waits on.
        """
        await self._writer.flush()

    async def aclose(self) -> None:
        """Store what waits, and end."""
        await self._writer.aclose()

    async def _store_some(self) -> None:
        taken = list(self._waiting.values())[:FLUSH_AT]
        try:
            rows = await to_thread.run_sync(self._rows, taken)
            await self._store(rows)
        except RagstoneError:
            raise
        except Exception:
            self._drop(taken)
            raise
        for row in rows:
            self._waiting.pop(row.answer_id, None)
        self._repeats = sum(self._is_repeat(asked) for asked in self._waiting.values())

    def _drop(self, lost: Iterable[Asked]) -> None:
        for asked in lost:
            if asked.answer_id is not None and self._waiting.pop(asked.answer_id, None) is not None:
                self._metrics.answer_traces.labels("dropped").inc()

    async def _store(self, rows: Sequence[TraceRow]) -> None:
        async with self._database.write() as connection:
            kept = await self._unerased(connection, rows)
            await put_traces(connection, kept)
        self._metrics.answer_traces.labels("kept").inc(len(kept))

    async def _unerased(self, connection: StoreConnection, rows: Sequence[TraceRow]) -> list[TraceRow]:
        """What is left after erasures, of other processes, too, while the traces waited."""
        tenants: Iterable[TenantId] = {row.tenant_id for row in rows}
        erased = {tenant: await erasures(connection, tenant) for tenant in tenants}
        oldest = self._clock_ms() - OLDEST_MS

        def until(row: TraceRow) -> int:
            mine = erased[row.tenant_id]
            return max(oldest, mine.get(WHOLE_TENANT, 0), mine.get(row.digest, 0))

        return [row for row in rows if row.at_ms > until(row)]

    async def _prune(self) -> None:
        present = self._clock_ms()
        if present - self._pruned_ms < PRUNE_MS:
            return
        before = present - self._settings.answer_trace_days * DAY_MS
        async with self._database.write() as connection:
            await prune_traces(connection, before, self._settings.answer_traces)
        self._pruned_ms = present

    def _among_waiting(self, name: str) -> TraceRow | None:
        asked = self._waiting.get(name)
        if asked is None:
            of_request = [one for one in self._waiting.values() if one.caller.request_id == name]
            asked = of_request[-1] if of_request else None
        return None if asked is None else self._row(asked)

    async def _stored(self, name: str, principal: Principal) -> TraceRow | None:
        async with self._database.read() as connection:
            return await find_trace(connection, principal.tenant_id, name)

    @staticmethod
    def _is_repeat(asked: Asked) -> bool:
        return asked.trail is not None and asked.trail.is_rendered

    def _rows(self, taken: Sequence[Asked]) -> list[TraceRow]:
        return [self._row(asked) for asked in taken]

    def _row(self, asked: Asked) -> TraceRow:
        search = asked.asking.search
        if asked.trail is None:
            raise ValueError("only what left a trail is recorded")
        record = record_of(asked, asked.trail)
        if not self._are_texts_kept:
            record = structs.replace(record, question="", request=None)
        return TraceRow(
            answer_id=str(asked.answer_id),
            tenant_id=search.principal.tenant_id,
            audience=audience_of(search.principal),
            request_id=asked.caller.request_id,
            digest=digest_of(search.query),
            at_ms=asked.at_ms,
            body=encode(record),
        )
