"""Running syncs: one at a time for each source, across processes; how each went is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING

import anyio
import structlog
from uuid6 import uuid7

from ragstone.cancellation import end_tasks, run_to_end
from ragstone.errors import Conflict, RagstoneError, SourceBusy
from ragstone.ingest.sources.sync import PRINCIPAL, Sync, SyncLimits, Tally
from ragstone.store.database import now
from ragstone.store.sources import LEASE_S, RunState, SourceRun, finish_run, renew_source, take_source

if TYPE_CHECKING:
    from ragstone.analytics.error_log import FailureSink
    from ragstone.ingest.sources.catalogue import SourceEntry
    from ragstone.ingest.sources.ports import Intake, Source
    from ragstone.store.database import Database
    from ragstone.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

JITTER = 0.1
"""Share of its interval by which a source is synced sooner or later, so that many do not begin at once."""


class SyncRunner:
    """Runs syncs and keeps their accounts."""

    def __init__(
        self,
        database: Database,
        intake: Intake,
        limits: SyncLimits,
        metrics: Metrics,
        note_failure: FailureSink,
        renew_s: float = LEASE_S / 4,
    ) -> None:
        self._database = database
        self._intake = intake
        self._limits = limits
        self._metrics = metrics
        self._note_failure = note_failure
        self._renew_s = renew_s
        self._random = Random()  # noqa: S311 (jitter)

    async def begin(self, entry: SourceEntry) -> str:
        """Take the source for a run; its id, to be given to `run` at once.

        Raises:
            SourceBusy: another run holds it.
        """
        run_id = str(uuid7())
        async with self._database.write() as connection:
            is_taken = await take_source(connection, PRINCIPAL.tenant_id, entry.name, run_id)
        if not is_taken:
            raise SourceBusy(
                f"Source {entry.name!r} is being synced already; wait for the end of that run "
                f"(one whose process was killed ends within {LEASE_S:g} s)."
            )
        return run_id

    async def run(
        self,
        entry: SourceEntry,
        run_id: str,
        open_source: Callable[[], Source],
        *,
        is_forced: bool = False,
    ) -> SourceRun:
        """Sync the source to its end; failures are part of the account, not raised."""
        sync = Sync(self._database, self._intake, entry, self._limits, self._note_failure)
        error: tuple[str, str] | None = None
        try:
            async with self._held(run_id):
                await sync.run(open_source(), is_forced=is_forced)
        except RagstoneError as failure:
            self._note(entry, failure)
            error = (failure.code, failure.message)
        except asyncio.CancelledError:
            error = ("internal", "The sync was interrupted; the next one takes up its work.")
            raise
        except Exception as failure:  # a worker: the run ends, the server goes on
            log.exception("source_sync_failed", source=entry.name)
            self._note(entry, failure)
            error = ("internal", "Ragstone failed on this source; the log has the details.")
        else:
            if sync.tally.guard is not None:
                self._note(entry, sync.tally.guard)
        finally:
            run = _account(run_id, entry.name, sync.tally, error)
            await run_to_end(self._finish(entry, run))
        return run

    def _note(self, entry: SourceEntry, failure: Exception) -> None:
        """By the kind of the source: its name and its place are somebody's words."""
        self._note_failure(failure, entry.kind, service="sync", tenant_id=PRINCIPAL.tenant_id)

    @asynccontextmanager
    async def _held(self, run_id: str) -> AsyncIterator[None]:
        """Hold the source during the block.

        Raises:
            Conflict: this process slept so long that another run took the source; the block was stopped.
        """
        with anyio.CancelScope() as scope:
            renewing = asyncio.create_task(self._renew(run_id, scope))
            try:
                yield
            finally:
                await end_tasks([renewing])
        if scope.cancelled_caught:
            raise Conflict("Another run took the source over while this one did not answer.")

    async def _renew(self, run_id: str, scope: anyio.CancelScope) -> None:
        while True:
            await asyncio.sleep(self._renew_s)
            try:
                async with self._database.write() as connection:
                    is_held = await renew_source(connection, run_id)
            except RagstoneError:  # the next round comes before the lease ends
                log.warning("source_lease_not_renewed", exc_info=True)
                continue
            if not is_held:
                scope.cancel()
                return

    async def _finish(self, entry: SourceEntry, run: SourceRun) -> None:
        next_run_at = None
        if entry.schedule is not None:
            next_run_at = now(entry.schedule * self._random.uniform(1 - JITTER, 1 + JITTER))
        try:
            async with self._database.write() as connection:
                await finish_run(connection, PRINCIPAL.tenant_id, run, next_run_at)
        except RagstoneError:
            log.warning("source_run_not_noted", source=entry.name, exc_info=True)
        self._metrics.source_runs.labels(run.state).inc()
        for outcome, count in run.counts.items():
            self._metrics.source_items.labels(outcome).inc(count)
        log.info("source_synced", source=entry.name, state=run.state, **run.counts)


def _account(run_id: str, name: str, tally: Tally, error: tuple[str, str] | None) -> SourceRun:
    state: RunState = "done"
    if error is not None:
        state = "failed"
    elif tally.guard is not None:
        state, error = "guarded", (tally.guard.code, tally.guard.message)
    code, message = error or (None, None)
    counts = {outcome: count for outcome, count in tally.counts.items() if count}
    return SourceRun(
        id=run_id,
        source_name=name,
        state=state,
        counts=counts,
        failures=tuple(tally.failures),
        note=tally.note,
        error_code=code,
        error_message=message,
    )
