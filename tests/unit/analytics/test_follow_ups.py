"""What is asked after what: by whom, how often, bounded, and forgotten with its questions."""

from __future__ import annotations

from itertools import chain, repeat
from pathlib import Path

import pytest
from sqlalchemy import func, select
from tests.support.corpus import open_store
from tests.support.questions import Tracked, open_tracked, tracked_on

from ragstone.analytics import follow_ups
from ragstone.analytics.asked import Asked
from ragstone.analytics.asking import Asking
from ragstone.analytics.follow_ups import AskedLately, LastAsked
from ragstone.analytics.words import digest_of
from ragstone.store.follow_ups import CROWDED, KEPT, likely_follow_ups
from ragstone.store.tables import query_follow_ups
from ragstone.telemetry.caller import Caller
from ragstone.types import LOCAL_OWNER, CacheUse, Principal, SearchRequest

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("one_day")]

ANN, BOB = Caller("http", client="ann"), Caller("http", client="bob")
HR = Principal(access_groups=frozenset({"hr"}))


def test_a_question_follows_the_last_one_of_the_same_asker() -> None:
    """Not another's, not the same one asked again, not one of long ago, not one asked with other rights."""
    last = LastAsked()

    assert last.follow(LOCAL_OWNER, ANN, b"a", 0) is None
    assert last.follow(LOCAL_OWNER, BOB, b"b", 1) is None
    assert last.follow(LOCAL_OWNER, ANN, b"c", 2) == b"a"
    assert last.follow(LOCAL_OWNER, ANN, b"c", 3) is None
    assert last.follow(HR, ANN, b"d", 4) is None
    assert last.follow(LOCAL_OWNER, BOB, b"d", 1 + follow_ups.GAP_MS) == b"b"
    assert last.follow(LOCAL_OWNER, BOB, b"e", 2 + 2 * follow_ups.GAP_MS) is None


def test_askers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has not asked for longest is forgotten."""
    monkeypatch.setattr(follow_ups, "ASKERS", 2)
    last = LastAsked()
    for name in ("ann", "bob", "ann", "eve"):
        last.follow(LOCAL_OWNER, Caller("http", client=name), b"a", 0)

    assert last.follow(LOCAL_OWNER, BOB, b"b", 1) is None
    assert last.follow(LOCAL_OWNER, Caller("http", client="eve"), b"b", 1) == b"a"


def ask(tracked: Tracked, *questions: str, caller: Caller = ANN, principal: Principal = LOCAL_OWNER) -> None:
    """Ask questions one after the other."""
    for question in questions:
        asking = Asking("search", SearchRequest(question, principal=principal))
        tracked.tracker.record(asking, 1, caller)


async def likely(tracked: Tracked, question: str, principal: Principal = LOCAL_OWNER) -> list[str]:
    """What is likely to be asked after it."""
    async with tracked.database.read() as connection:
        found = await likely_follow_ups(connection, principal, digest_of(question), 3)
    return [one.question for one in found]


async def pair_count(tracked: Tracked) -> int:
    """Rows of pairs."""
    async with tracked.database.read() as connection:
        counted = await connection.execute(select(func.count()).select_from(query_follow_ups))
        return int(counted.scalar_one())


async def test_what_followed_more_than_once_is_likely(tmp_path: Path) -> None:
    """The most often asked first, over batches and processes; once is chance."""
    async with open_tracked(tmp_path, prefetch_follow_ups=1) as one, open_store(one.database.path) as same:
        other = tracked_on(same, prefetch_follow_ups=1)
        ask(one, "price", "delivery", "price", "colour")
        await one.tracker.flush()
        ask(other, "price", "delivery", "price", "delivery", "price", "size", "price", "size", caller=BOB)
        await other.tracker.flush()

        assert await likely(one, "price") == ["delivery", "size"]
        assert await likely(one, "colour") == []
        assert await likely(one, "price", HR) == []


async def test_what_is_rare_among_many_follow_ups_is_not_likely(tmp_path: Path) -> None:
    """Twice of fifty is no likelihood."""
    async with open_tracked(tmp_path, prefetch_follow_ups=1) as tracked:
        ask(tracked, *chain.from_iterable(repeat(("menu", "soup"), 48)), *("menu", "bread") * 2)
        await tracked.tracker.flush()

        assert await likely(tracked, "menu") == ["soup"]


async def test_pairs_are_bounded_and_the_frequent_ones_stay(tmp_path: Path) -> None:
    """However many different questions follow, a few rows stay, those counted most among them."""
    async with open_tracked(tmp_path, prefetch_follow_ups=1) as tracked:
        ask(tracked, "menu", "soup", "menu", "soup")
        for at in range(3 * CROWDED):
            ask(tracked, "menu", f"dish {at}")
            await tracked.tracker.flush()

        async with tracked.database.read() as connection:
            menu = digest_of("menu")
            found = await likely_follow_ups(connection, LOCAL_OWNER, menu, 3)
            most = select(func.count()).select_from(query_follow_ups).group_by(query_follow_ups.c.query_id)
            counts = (await connection.execute(most)).scalars().all()
        assert [one.question for one in found] == ["soup"]
        assert KEPT <= max(counts) <= CROWDED


async def test_pairs_go_with_their_questions(tmp_path: Path) -> None:
    """An erased question is neither followed nor following; erasing all leaves nothing."""
    async with open_tracked(tmp_path, prefetch_follow_ups=1) as tracked:
        ask(tracked, *("price", "delivery") * 3)
        await tracked.tracker.flush()
        assert await pair_count(tracked) == 2

        ask(tracked, "price", "delivery")
        await tracked.service.erase("delivery")
        await tracked.tracker.flush()
        assert await pair_count(tracked) == 0

        ask(tracked, *("price", "delivery") * 3)
        await tracked.tracker.flush()
        await tracked.service.erase()
        assert await pair_count(tracked) == 0


async def test_nothing_is_counted_while_it_is_off(tmp_path: Path) -> None:
    """Off is the default: no pair is noted."""
    async with open_tracked(tmp_path) as tracked:
        ask(tracked, *("price", "delivery") * 3)
        await tracked.tracker.flush()

        assert await pair_count(tracked) == 0


def asked(question: str, cache: CacheUse = "miss", error_code: str | None = None) -> Asked:
    """A record of a question."""
    asking = Asking("search", SearchRequest(question))
    return Asked(asking, {}, cache=cache, error_code=error_code)


async def test_the_newest_question_comes_first_and_the_oldest_is_left_out() -> None:
    """A crowd of questions: those who asked last have not asked their next one yet."""
    lately = AskedLately()
    for at in range(follow_ups.LATEST + 1):
        lately(asked(str(at)))
    lately(asked("failed", error_code="overloaded"))

    newest = [(await lately.newest()).digest for _ in range(follow_ups.LATEST)]

    assert newest == [digest_of(str(at)) for at in range(follow_ups.LATEST, 0, -1)]


async def test_a_question_answered_ahead_counts_as_used_once_it_is_found_in_a_cache() -> None:
    """Not when it was made anew, and once only."""
    lately = AskedLately()
    for question in ("a", "b"):
        lately.answered_ahead(LOCAL_OWNER, digest_of(question))
    lately(asked("a", "miss"))
    assert lately.used_count == 0
    lately(asked("a", "hit"))
    lately(asked("a", "hit"))
    lately(asked("c", "hit"))

    assert lately.used_count == 1
