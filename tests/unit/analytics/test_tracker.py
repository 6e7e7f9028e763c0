"""Counting questions: bounded in memory and in rows, nothing lost between processes, erasable."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import func, select
from tests.support.corpus import open_store
from tests.support.questions import Tracked, open_tracked, tracked_on

from ragstone.analytics import tracker as tracking
from ragstone.errors import StoreFailed
from ragstone.service.queries import PopularRequest
from ragstone.settings import StoreSettings
from ragstone.store.database import open_database
from ragstone.store.queries import DAY_MS, empty_scope, level_of
from ragstone.store.tables import (
    queries,
    query_days,
    query_erasures,
    query_follow_ups,
    query_scopes,
    query_terms,
    query_totals,
    query_words,
)
from ragstone.types import Principal, TenantId

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("one_day")]

TABLES = (
    queries,
    query_days,
    query_follow_ups,
    query_terms,
    query_words,
    query_totals,
    query_scopes,
)


async def popular(tracked: Tracked, **wanted: object) -> dict[str, int]:
    """The most asked questions with their counts."""
    found = await tracked.service.popular(PopularRequest(100, **wanted))  # type: ignore[arg-type]
    return {one.question: one.count for one in found}


async def row_count(tracked: Tracked) -> int:
    """Rows of all tables that a question leaves something in."""
    async with tracked.database.read() as connection:
        counts = [
            (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            for table in TABLES
        ]
    return sum(counts)


def metric(tracked: Tracked, outcome: str) -> float:
    """How many questions had this outcome."""
    found = tracked.metrics.registry.get_sample_value("ragstone_queries_tracked_total", {"outcome": outcome})
    return found or 0.0


def test_levels_rise_with_counts_and_differ_by_an_eighth_at_most() -> None:
    """A higher count never has a lower level; counts of one level are within an eighth of each other."""
    levels = [level_of(count) for count in range(1, 5_000)]

    assert levels == sorted(levels)
    assert levels[:16] == list(range(1, 17))
    for level in set(levels):
        least, most = levels.index(level) + 1, 4_999 - levels[::-1].index(level)
        assert most - least <= least / 8


async def test_two_processes_lose_no_count(tmp_path: Path) -> None:
    """Two trackers with connections of their own count the same questions at once: the sum is kept."""
    async with open_tracked(tmp_path) as one, open_store(tmp_path / "ragstone.db") as database:
        other = tracked_on(database)
        for _ in range(5):
            one.ask("Where is it?", "Who is it?")
            other.ask("Where is it?")
            await one.tracker.flush()
            await other.tracker.flush()

        assert await popular(one) == {"Where is it?": 10, "Who is it?": 5}
        assert (await one.service.statistics()).by_day[0].asked == 15
        assert (await one.service.statistics()).by_day[0].distinct_count == 2


async def test_questions_of_other_askers_stay_with_them(tmp_path: Path) -> None:
    """Another tenant and another set of access groups see nothing of them: a question is text, too."""
    hr = Principal(access_groups=frozenset({"hr"}))
    other = Principal(TenantId("other"))
    async with open_tracked(tmp_path) as tracked:
        for principal in (hr, other):
            tracked.ask(f"Secret of {principal.tenant_id}?", principal=principal)
        await tracked.store("Plain question?")

        seen = {
            principal: [one.question for one in await tracked.service.complete("", principal=principal)]
            for principal in (Principal(), hr, other)
        }
        assert seen[Principal()] == ["Plain question?"]
        assert seen[hr] == ["Secret of default?"]
        assert seen[other] == ["Secret of other?"]
        assert await tracked.service.similar("a secret of other", principal=hr) == []


async def test_what_comes_when_the_buffer_is_full_is_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded; a question that waits already is counted on."""
    monkeypatch.setattr(tracking, "BUFFERED", 2)
    async with open_tracked(tmp_path) as tracked:
        tracked.ask("a", "b", "c", "a")

        assert tracked.tracker.waiting_count == 2
        assert (metric(tracked, "recorded"), metric(tracked, "dropped")) == (3, 1)


async def test_tracking_can_be_turned_off(tmp_path: Path) -> None:
    """With 0 nothing is kept, not even in memory."""
    async with open_tracked(tmp_path, tracked_queries=0) as tracked:
        await tracked.store("a")

        assert (tracked.tracker.waiting_count, await row_count(tracked)) == (0, 0)


async def test_the_rare_and_long_unasked_go_first(tmp_path: Path) -> None:
    """Over the limit a slice goes: of the rarest questions those asked longest ago, with all their rows."""
    async with open_tracked(tmp_path, tracked_queries=3) as tracked:
        await tracked.store_days_ago(2, ["old popular", "old popular", "old rare"])
        await tracked.store_days_ago(1, ["rare"])
        await tracked.store("new rare")

        assert await popular(tracked) == {"old popular": 2, "rare": 1, "new rare": 1}
        assert metric(tracked, "evicted") == 1
        assert (await tracked.service.statistics()).tracked == 3
        await tracked.service.erase()
        assert await row_count(tracked) == 0


async def test_a_store_that_fails_loses_nothing(tmp_path: Path) -> None:
    """While another process holds the database, what was asked waits, and what comes meanwhile is added."""
    impatient = StoreSettings(busy_timeout_s=0.01)
    async with open_store(tmp_path / "ragstone.db") as blocker:
        database = await open_database(tmp_path / "ragstone.db", impatient)
        try:
            tracked = tracked_on(database)
            tracked.ask("a", "b")
            async with blocker.write():
                with pytest.raises(StoreFailed):
                    await tracked.tracker.flush()
            tracked.ask("a")
            await tracked.tracker.flush()

            assert await popular(tracked) == {"a": 2, "b": 1}
        finally:
            await database.aclose()


async def test_days_are_kept_for_as_long_as_set(tmp_path: Path) -> None:
    """Older days go at the day's first store of a running tracker; counts of all time stay."""
    async with open_tracked(tmp_path, query_days=3) as tracked:
        await tracked.store_days_ago(3, ["a", "a"])
        await tracked.store_days_ago(2, ["a"])
        await tracked.store("b")
        await tracked.tracker._keep_days()

        async with tracked.database.read() as connection:
            kept = (await connection.execute(select(query_totals.c.day))).scalars().all()
        today = tracked.present_ms() // DAY_MS
        assert sorted(kept) == [today - 2, today]
        assert await popular(tracked, days=3) == {"a": 1, "b": 1}
        assert await popular(tracked) == {"a": 3, "b": 1}


async def test_a_past_day_keeps_its_most_asked_questions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows by day are bounded; the totals of the day are not touched."""
    monkeypatch.setattr(tracking, "KEPT_A_DAY", 1)
    async with open_tracked(tmp_path) as tracked:
        await tracked.store_days_ago(1, ["a", "b", "b"])
        await tracked.store("a", "c")
        await tracked.tracker._keep_days()

        assert await popular(tracked, days=2) == {"b": 2, "a": 1, "c": 1}
        assert [day.asked for day in (await tracked.service.statistics()).by_day] == [3, 2]


async def test_an_erasure_reaches_what_waits_in_other_processes(tmp_path: Path) -> None:
    """What another process had counted before the erasure is not stored after it; what is asked later is."""
    async with open_tracked(tmp_path) as one, open_store(tmp_path / "ragstone.db") as database:
        other = tracked_on(database)
        await one.store("secret", "plain")
        one.ask("secret")
        other.ask("secret", "plain")

        erased = await one.service.erase("  secret ")
        await one.tracker.flush()
        await other.tracker.flush()

        assert (erased.count, erased.is_log_empty) == (1, True)
        assert await popular(one) == {"plain": 2}
        other.ask("plain")
        assert (await one.service.erase()).count == 1
        await other.tracker.flush()
        assert (await popular(one), await row_count(one)) == ({}, 0)

        async with database.write() as connection:
            await connection.execute(query_erasures.delete())
        await other.store("secret")
        assert await popular(one) == {"secret": 1}


async def test_a_question_that_waited_too_long_is_dropped(tmp_path: Path) -> None:
    """Erasures are remembered for as long as a question may wait, not longer."""
    async with open_tracked(tmp_path) as tracked:
        tracked.days_back = 1
        tracked.ask("a")
        tracked.days_back = 0
        await tracked.tracker.flush()

        assert await popular(tracked) == {}


async def test_an_erasure_that_was_cut_off_is_taken_up(tmp_path: Path) -> None:
    """Killed between hiding and removing: nobody finds the questions, and the next process removes them."""
    async with open_tracked(tmp_path) as tracked:
        await tracked.store(*(f"question {n}" for n in range(20)))
        async with tracked.database.write() as connection:
            await connection.execute(query_scopes.update().values(erased_ms=1))

        assert await popular(tracked) == {}
        await tracked.store("new")
        await tracked.tracker._keep_days()

        assert await popular(tracked) == {"new": 1}
        async with tracked.database.write() as connection:
            assert (await connection.execute(select(func.count()).select_from(queries))).scalar_one() == 1
            assert not await empty_scope(connection, 1)  # type: ignore[arg-type]
