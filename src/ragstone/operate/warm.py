"""Warming: asks the most popular questions again, so that their answers lie in the caches.

One request at a time, only while this process has nothing else to do, and as much rest as work: a warming
takes at most half a core's time from what comes next, and stops at the first request.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import structlog

from ragstone.analytics.asked import present_ms
from ragstone.analytics.follow_ups import followed_of
from ragstone.analytics.popular import popular_in_days
from ragstone.cancellation import end_tasks
from ragstone.errors import RagstoneError
from ragstone.store.queries import DAY_MS, principal_of
from ragstone.store.query_reads import QueryFilter, TrackedQuery, audiences
from ragstone.types import TenantId

if TYPE_CHECKING:
    from ragstone.operate.ask_again import WarmingParts
    from ragstone.operate.prefetch import Prefetcher, PrefetchStatus
    from ragstone.settings import CacheSettings
    from ragstone.types import Principal

log = structlog.get_logger(__name__)

WATCH_S = 1.0
"""How often the corpus version is looked at."""

Reason = Literal["asked", "start", "schedule", "change"]
State = Literal["idle", "running", "done", "cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class WarmingRun:
    """How a warming went, or how far it is; `planned` questions are asked one after the other."""

    reason: Reason
    state: State
    planned: int = 0
    warmed: int = 0
    failed: int = 0
    skipped: int = 0
    """Questions that could not be asked again as they were kept."""
    waited_s: float = 0.0
    """Time spent waiting for the process to be at rest."""
    duration_s: float = 0.0
    started_at: str = ""
    finished_at: str | None = None


@dataclass(frozen=True, slots=True)
class WarmingStatus:
    """What warming does now and has done since this process began; `last` is the newest run that ended."""

    is_running: bool
    current: WarmingRun | None
    last: WarmingRun | None
    run_count: int
    warmed_count: int
    next_run_at: str | None
    prefetch: PrefetchStatus


@dataclass(slots=True)
class _Progress:
    run: WarmingRun
    began_s: float = field(default_factory=time.perf_counter)


class Warmer:
    """Warms the caches of this process: when told, at start, on schedule, after a change, ahead."""

    def __init__(self, parts: WarmingParts, settings: CacheSettings, prefetcher: Prefetcher) -> None:
        self._parts = parts
        self._settings = settings
        self._prefetcher = prefetcher
        self._task: asyncio.Task[WarmingRun] | None = None
        self._loops: list[asyncio.Task[None]] = []
        self._progress: _Progress | None = None
        self._last: WarmingRun | None = None
        self._run_count = 0
        self._warmed_count = 0
        self._next_run_at: str | None = None

    def start(self) -> None:
        """Begin what the settings ask for, until closed."""
        settings = self._settings
        if settings.warm_at_start:
            self.begin("start")
        if settings.warm_every_s:
            self._loops.append(asyncio.create_task(self._by_schedule(settings.warm_every_s)))
        if settings.warm_after_change_s:
            self._loops.append(asyncio.create_task(self._after_changes(settings.warm_after_change_s)))
        if followed_of(settings):
            self._loops.append(asyncio.create_task(self._prefetcher.run()))

    def begin(self, reason: Reason, top: int | None = None) -> asyncio.Task[WarmingRun]:
        """The run that goes on, begun now unless one does already. Its end is a result, not an error."""
        if self._task is None or self._task.done():
            self._progress = _Progress(WarmingRun(reason, "running", started_at=_now()))
            self._task = asyncio.create_task(self._run(self._progress, top or self._settings.warm_top))
        return self._task

    async def run(self, top: int | None = None) -> WarmingRun:
        """Warm now; the end of the run that goes on already when there is one. Goes on without its caller."""
        return await asyncio.shield(self.begin("asked", top))

    async def cancel(self) -> bool:
        """End the run that goes on; whether there was one."""
        task = self._task
        if task is None or task.done():
            return False
        await end_tasks([task])
        return True

    def status(self) -> WarmingStatus:
        """What it does and has done."""
        is_running = self._task is not None and not self._task.done()
        current = None if self._progress is None or not is_running else _timed(self._progress)
        return WarmingStatus(
            is_running,
            current,
            self._last,
            self._run_count,
            self._warmed_count,
            self._next_run_at,
            self._prefetcher.status(),
        )

    async def aclose(self) -> None:
        """End everything."""
        await end_tasks(self._loops)
        await self.cancel()

    async def _run(self, progress: _Progress, top: int) -> WarmingRun:
        state: State = "failed"
        try:
            questions = await self._chosen(top)
            progress.run = replace(progress.run, planned=len(questions))
            for question, principal in questions:
                await self._wait_for_rest(progress)
                await self._warm(progress, question, principal)
            state = "done"
        except asyncio.CancelledError:
            state = "cancelled"
        except RagstoneError as error:
            log.warning("warming_failed", code=error.code)
            self._parts.note_failure(error, "warm", service="warming")
        except Exception as error:
            log.exception("warming_failed")
            self._parts.note_failure(error, "warm", service="warming")
        ended = replace(_timed(progress), state=state, finished_at=_now())
        self._last, self._progress = ended, None
        self._run_count += 1
        self._parts.metrics.warming_runs.labels(state).inc()
        log.info(
            "caches_warmed",
            reason=ended.reason,
            state=state,
            warmed=ended.warmed,
            failed=ended.failed,
            skipped=ended.skipped,
            duration_s=ended.duration_s,
        )
        return ended

    async def _chosen(self, top: int) -> list[tuple[TrackedQuery, Principal]]:
        """The most asked questions of the kept days over all tenants, each with who asked it."""
        today = present_ms() // DAY_MS
        days = range(today - self._settings.query_days + 1, today + 1)
        async with self._parts.database.read() as connection:
            scopes = await audiences(connection)
        found: list[tuple[TrackedQuery, Principal]] = []
        for tenant_id, audience in scopes:
            principal = principal_of(TenantId(tenant_id), audience)
            questions = await popular_in_days(self._parts.database, principal, QueryFilter(), top, days)
            found += [(question, principal) for question in questions]
        return sorted(found, key=lambda one: -one[0].count)[:top]

    async def _wait_for_rest(self, progress: _Progress) -> None:
        waited_s = await self._parts.wait_for_rest()
        progress.run = replace(progress.run, waited_s=progress.run.waited_s + waited_s)

    async def _warm(self, progress: _Progress, question: TrackedQuery, principal: Principal) -> None:
        outcome = await self._parts.ask(question, principal)
        run = progress.run
        if outcome in ("warmed", "known"):
            outcome = "warmed"
            progress.run = replace(run, warmed=run.warmed + 1)
            self._warmed_count += 1
        elif outcome == "failed":
            progress.run = replace(run, failed=run.failed + 1)
        else:
            progress.run = replace(run, skipped=run.skipped + 1)
        self._parts.metrics.warmed_requests.labels(outcome).inc()

    async def _by_schedule(self, every_s: float) -> None:
        while True:
            self._next_run_at = _now(every_s)
            await asyncio.sleep(every_s)
            await asyncio.wait([self.begin("schedule")])

    async def _after_changes(self, rest_s: float) -> None:
        """Warm once the corpus version, by whatever process it was raised, has stood still for `rest_s`."""
        warmed = seen = await self._version()
        seen_at_s = time.perf_counter()
        while True:
            await asyncio.sleep(min(WATCH_S, rest_s))
            version = await self._version()
            if version is None:
                continue
            if version != seen:
                seen, seen_at_s = version, time.perf_counter()
            elif version != warmed and time.perf_counter() - seen_at_s >= rest_s:
                warmed = version
                await asyncio.wait([self.begin("change")])

    async def _version(self) -> int | None:
        try:
            return await self._parts.database.corpus_version()
        except RagstoneError as error:  # a loop: the next look may do better
            log.warning("corpus_version_not_read", code=error.code)
            return None


def _timed(progress: _Progress) -> WarmingRun:
    run = progress.run
    duration_s = round(time.perf_counter() - progress.began_s, 3)
    return replace(run, duration_s=duration_s, waited_s=round(run.waited_s, 3))


def _now(ahead_s: float = 0.0) -> str:
    return datetime.fromtimestamp(time.time() + ahead_s, UTC).isoformat(timespec="seconds")
