"""Counts what is asked: in memory while a request runs, in the database a moment later."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ragstone.analytics.asked import present_ms
from ragstone.analytics.asking import Asking, asking_json
from ragstone.analytics.follow_ups import Followed, FollowUps, followed_of
from ragstone.analytics.words import digest_of, fold, stored_terms, words_of
from ragstone.analytics.write_behind import Buffer, WriteBehind
from ragstone.errors import RagstoneError
from ragstone.store.follow_ups import Pair, count_follow_ups
from ragstone.store.queries import (
    DAY_MS,
    WHOLE_TENANT,
    Counted,
    QueryId,
    ScopeId,
    Tally,
    closed_scopes,
    count_questions,
    count_words,
    drop_erasures,
    empty_scope,
    erasures,
    forget_questions,
    least_wanted,
    open_scope,
    prune_days,
    put_terms,
    tracked_in,
)
from ragstone.telemetry.caller import Caller, present_caller
from ragstone.types import Principal

if TYPE_CHECKING:
    from ragstone.settings import CacheSettings
    from ragstone.store.database import Database, StoreConnection
    from ragstone.telemetry.metrics import Metrics

FLUSH_AT = 200
"""Waiting questions that are stored at once: 0.12 s at a million (2 busy cores, November 2026)."""
BUFFERED = 10_000
"""Different questions that may wait; what comes then is not counted."""
OLDEST_MS = 600_000
"""A question that could not be stored for so long is dropped: the erasures that might name it are, too."""
KEPT_A_DAY = 50_000
"""Questions of which a day that is over keeps a count of its own, the most asked ones."""
EVICTED_SHARE = 100
"""Room for a hundredth of all is made at a time."""

Key = tuple[Principal, bytes, int]
"""Whose question, which one, on which day."""


class QueryTracker:
    """Counts questions for every tenant. `record` never waits; `aclose` stores what is left."""

    def __init__(
        self,
        database: Database,
        settings: CacheSettings,
        metrics: Metrics,
        clock_ms: Callable[[], int] = present_ms,
    ) -> None:
        self._database = database
        self._settings = settings
        self._metrics = metrics
        self._clock_ms = clock_ms
        self._waiting: dict[Key, Tally] = {}
        self._follow_ups = FollowUps() if followed_of(settings) else None
        self._pruned_day = -1
        buffer = Buffer("questions", lambda: len(self._waiting), self._store_some, self._keep_days, FLUSH_AT)
        self._writer = WriteBehind(buffer)

    @property
    def waiting_count(self) -> int:
        """Different questions that are counted and not stored yet."""
        return len(self._waiting)

    def start(self) -> None:
        """Store what is recorded every few seconds, until closed."""
        if self._settings.tracked_queries:
            self._writer.start()

    def record(self, asking: Asking, hit_count: int, caller: Caller | None = None) -> None:
        """Count a request that was answered; its query is normalised. `caller` is the present one."""
        if not self._settings.tracked_queries:
            return
        search, present = asking.search, self._clock_ms()
        key = (search.principal, digest_of(search.query), present // DAY_MS)
        known = self._waiting.get(key)
        if known is None and len(self._waiting) >= BUFFERED:
            self._metrics.queries_tracked.labels("dropped").inc()
            return
        self._waiting[key] = Tally(
            question=search.query,
            folded=fold(search.query) if known is None else known.folded,
            digest=key[1],
            count=1 + (known.count if known else 0),
            first_ms=known.first_ms if known else present,
            last_ms=present,
            collections=search.collections,
            request=asking_json(asking),
            answers=(asking.kind == "ask") + (known.answers if known else 0),
            without_hits=(hit_count == 0) + (known.without_hits if known else 0),
        )
        if self._follow_ups is not None:
            self._follow_ups.note(key[0], caller or present_caller(), key[1], present)
        self._metrics.queries_tracked.labels("recorded").inc()
        self._metrics.queries_waiting.set(len(self._waiting))
        self._writer.wake()

    def forget(self, is_forgotten: Callable[[Principal, bytes], bool]) -> None:
        """Drop waiting questions, by their principal and digest."""
        for key in [key for key in self._waiting if is_forgotten(key[0], key[1])]:
            del self._waiting[key]
        if self._follow_ups is not None:
            self._follow_ups.forget(is_forgotten)

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
        keys = list(self._waiting)[:FLUSH_AT]
        taken = {key: self._waiting.pop(key) for key in keys}
        try:
            await self._store(taken)
        except RagstoneError:
            self._take_back(taken)
            raise
        finally:
            self._metrics.queries_waiting.set(len(self._waiting))
        if self._follow_ups is not None and not self._waiting:
            # Once both questions of every pair are stored.
            await self._store_pairs(self._follow_ups)

    async def _store_pairs(self, follow_ups: FollowUps) -> None:
        taken = follow_ups.take()
        groups: dict[Principal, dict[Pair, Followed]] = defaultdict(dict)
        for (principal, pair), followed in taken.items():
            groups[principal][pair] = followed
        try:
            for principal, pairs in groups.items():
                async with self._database.write() as connection:
                    if kept := await self._unerased_pairs(connection, principal, pairs):
                        scope_id = await open_scope(connection, principal)
                        await count_follow_ups(connection, scope_id, kept, self._clock_ms())
                for pair in pairs:
                    del taken[principal, pair]
        except RagstoneError:
            follow_ups.take_back(taken)
            raise

    async def _unerased_pairs(
        self, connection: StoreConnection, principal: Principal, pairs: Mapping[Pair, Followed]
    ) -> dict[Pair, int]:
        """Those of which no asking was erased meanwhile, by this process or another."""
        erased = await erasures(connection, principal.tenant_id)
        oldest = max(self._clock_ms() - OLDEST_MS, erased.get(WHOLE_TENANT, 0))
        return {
            pair: followed.count
            for pair, followed in pairs.items()
            if followed.first_ms > max(oldest, *(erased.get(digest, 0) for digest in pair))
        }

    def _take_back(self, taken: Mapping[Key, Tally]) -> None:
        for key, older in taken.items():
            newer = self._waiting.get(key)
            self._waiting[key] = older if newer is None else _merged(older, newer)

    async def _store(self, taken: Mapping[Key, Tally]) -> None:
        groups: dict[tuple[Principal, int], list[Tally]] = defaultdict(list)
        for (principal, _, day), tally in taken.items():
            groups[principal, day].append(tally)
        crowded = []
        async with self._database.write() as connection:
            for (principal, _), tallies in groups.items():
                kept = await self._unerased(connection, principal, tallies)
                if kept:
                    scope_id = await open_scope(connection, principal)
                    counted = await count_questions(connection, scope_id, kept)
                    await _index(connection, scope_id, [one for one in counted if one.is_new])
                    if await tracked_in(connection, scope_id) > self._settings.tracked_queries:
                        crowded.append(scope_id)
        for scope_id in crowded:
            await self._make_room(scope_id)

    async def _unerased(
        self, connection: StoreConnection, principal: Principal, tallies: Iterable[Tally]
    ) -> list[Tally]:
        """What is left of the tallies after erasures that other processes may have made meanwhile."""
        erased = await erasures(connection, principal.tenant_id)
        oldest = self._clock_ms() - OLDEST_MS
        if any(at_ms < oldest for at_ms in erased.values()):
            await drop_erasures(connection, oldest)
        left = []
        for tally in tallies:
            until = max(oldest, erased.get(WHOLE_TENANT, 0), erased.get(tally.digest, 0))
            if tally.first_ms > until:
                left.append(tally)
            elif tally.last_ms > until:
                left.append(replace(tally, count=1, first_ms=tally.last_ms, answers=0, without_hits=0))
        return left

    async def _make_room(self, scope_id: ScopeId) -> None:
        """Forget the rarest questions, those not asked for longest first, in slices."""
        limit = self._settings.tracked_queries
        async with self._database.read() as connection:
            tracked = await tracked_in(connection, scope_id)
            excess = tracked - limit + limit // EVICTED_SHARE
            ids = await least_wanted(connection, scope_id, max(0, excess))
        for start in range(0, len(ids), FLUSH_AT):
            async with self._database.write() as connection:
                await forget(connection, scope_id, ids[start : start + FLUSH_AT])
        self._metrics.queries_tracked.labels("evicted").inc(len(ids))

    async def _keep_days(self) -> None:
        """Once a day, in each process: forget days long ago, and end erasures that were cut off."""
        today = self._clock_ms() // DAY_MS
        if today == self._pruned_day:
            return
        async with self._database.write() as connection:
            await prune_days(connection, today, self._settings.query_days, KEPT_A_DAY)
        await empty_closed(self._database)
        self._pruned_day = today


async def forget(connection: StoreConnection, scope_id: ScopeId, ids: Sequence[QueryId]) -> int:
    """Remove questions with everything that was derived of them; how many were there."""
    gone = await forget_questions(connection, scope_id, ids)
    fewer: dict[int, int] = defaultdict(int)
    for one in gone:
        for word in words_of(one.folded):
            fewer[word] -= 1
    await count_words(connection, scope_id, fewer)
    return len(gone)


async def empty_closed(database: Database) -> None:
    """Remove the rows of erased scopes; what a killed process left of them, too."""
    async with database.read() as connection:
        scopes = await closed_scopes(connection)
    for scope_id in scopes:
        has_more = True
        while has_more:
            async with database.write() as connection:
                has_more = await empty_scope(connection, scope_id)


async def _index(connection: StoreConnection, scope_id: ScopeId, new: Sequence[Counted]) -> None:
    """Make new questions findable by their rare words."""
    words = {one.id: words_of(one.folded) for one in new}
    more: dict[int, int] = defaultdict(int)
    for found in words.values():
        for word in found:
            more[word] += 1
    counts = await count_words(connection, scope_id, more)
    await put_terms(connection, scope_id, {key: stored_terms(found, counts) for key, found in words.items()})


def _merged(older: Tally, newer: Tally) -> Tally:
    return replace(
        newer,
        count=older.count + newer.count,
        first_ms=older.first_ms,
        answers=older.answers + newer.answers,
        without_hits=older.without_hits + newer.without_hits,
    )
