"""What is asked after what: by whom, how often, bounded, and forgotten with its questions."""

from __future__ import annotations

import asyncio
from itertools import chain
from pathlib import Path

import pytest
from sqlalchemy import func, select
from tests.support.corpus import open_store
from tests.support.questions import Tracked, open_tracked, tracked_on

from ragstone.analytics import follow_ups as following, tracker
from ragstone.analytics.asked import Asked
from ragstone.analytics.asking import Asking
from ragstone.analytics.follow_ups import AskedLately, Followed, FollowUps
from ragstone.analytics.words import digest_of
from ragstone.errors import StoreFailed
from ragstone.store.follow_ups import CROWDED, KEPT, likely_follow_ups
from ragstone.store.tables import query_follow_ups
from ragstone.telemetry.caller import Caller
from ragstone.types import LOCAL_OWNER, CacheUse, Principal, SearchRequest

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("one_day")]

ANN, BOB = Caller("http", client="ann"), Caller("http", client="bob")
HR = Principal(access_groups=frozenset({"hr"}))


def pairs_of(follow_ups: FollowUps) -> dict[tuple[str, str], int]:
    """The pairs that wait, by their digests."""
    return {(one.decode(), two.decode()): n.count for (_, (one, two)), n in follow_ups.take().items()}


def test_a_question_follows_the_last_one_of_the_same_asker() -> None:
    """Not another's, not the same one asked again, not one of long ago, not one asked with other rights."""
    noted, gap = FollowUps(), following.GAP_MS
    noted.note(LOCAL_OWNER, ANN, b"a", 0)
    noted.note(LOCAL_OWNER, BOB, b"b", 1)
    noted.note(LOCAL_OWNER, ANN, b"c", 2)
    noted.note(LOCAL_OWNER, ANN, b"c", 3)
    noted.note(HR, ANN, b"d", 4)
    noted.note(LOCAL_OWNER, BOB, b"d", 1 + gap)
    noted.note(LOCAL_OWNER, BOB, b"e", 2 + 2 * gap)

    assert pairs_of(noted) == {("a", "c"): 1, ("b", "d"): 1}
    assert pairs_of(noted) == {}


def test_askers_and_waiting_pairs_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has not asked for longest is forgotten; a pair that finds no room is not counted."""
    monkeypatch.setattr(following, "ASKERS", 2)
    monkeypatch.setattr(following, "WAITING", 2)
    noted = FollowUps()
    for name in ("ann", "bob", "ann", "eve"):
        noted.note(LOCAL_OWNER, Caller("http", client=name), b"a", 0)
    noted.note(LOCAL_OWNER, BOB, b"b", 1)
    for digest in (b"b", b"c", b"d", b"b", b"c"):
        noted.note(LOCAL_OWNER, Caller("http", client="eve"), digest, 1)

    assert pairs_of(noted) == {("a", "b"): 1, ("b", "c"): 2}


def test_what_could_not_be_stored_is_counted_on() -> None:
    """Counts add up, and the oldest asking of a pair is kept: an erasure is compared with it."""
    noted = FollowUps()
    noted.note(LOCAL_OWNER, ANN, b"a", 5)
    noted.note(LOCAL_OWNER, ANN, b"b", 6)
    taken = noted.take()
    noted.note(LOCAL_OWNER, ANN, b"a", 7)
    noted.note(LOCAL_OWNER, ANN, b"b", 8)
    noted.take_back(taken)

    assert noted.take()[LOCAL_OWNER, (b"a", b"b")] == Followed(2, 5)


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
    """Twice of fifty is no likelihood, nor among many that came once each."""
    async with open_tracked(tmp_path, prefetch_follow_ups=1) as tracked:
        ask(tracked, *("menu", "soup") * 48, *("menu", "bread") * 2)
        ask(tracked, *("shop", "sale") * 2, *chain.from_iterable(("shop", f"{at}") for at in range(50)))
        await tracked.tracker.flush()

        assert await likely(tracked, "menu") == ["soup"]
        assert await likely(tracked, "shop") == []


async def test_a_failing_store_loses_no_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pairs wait and are stored with those that came meanwhile."""

    async def fail(*_: object) -> None:
        raise StoreFailed("The disk is full.")

    async with open_tracked(tmp_path, prefetch_follow_ups=1) as tracked:
        ask(tracked, "price", "delivery")
        with monkeypatch.context() as broken:
            broken.setattr(tracker, "count_follow_ups", fail)
            with pytest.raises(StoreFailed):
                await tracked.tracker.flush()
        ask(tracked, "price", "delivery")
        await tracked.tracker.flush()

        assert await likely(tracked, "price") == ["delivery"]


async def test_pairs_are_bounded_and_the_frequent_ones_stay(tmp_path: Path) -> None:
    """However many different questions follow, a few rows stay, those counted most among them."""
    async with open_tracked(tmp_path, prefetch_follow_ups=1) as tracked:
        ask(tracked, *("menu", "soup") * 2 * CROWDED)
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


@pytest.mark.parametrize("is_elsewhere", [False, True])
@pytest.mark.parametrize("erased", ["price", "delivery", None])
async def test_an_erased_question_that_is_asked_again_has_no_pair_of_before(
    tmp_path: Path, erased: str | None, is_elsewhere: bool
) -> None:
    """Not of what waited, not of what the asker had asked last; erased here or by another process."""
    async with open_tracked(tmp_path, prefetch_follow_ups=1) as one, open_store(one.database.path) as same:
        other = tracked_on(same, prefetch_follow_ups=1)
        ask(one, *("price", "delivery") * 3, "price")
        await asyncio.sleep(0.002)  # an erasure is of a millisecond
        await (other if is_elsewhere else one).service.erase(erased)
        await asyncio.sleep(0.002)
        ask(one, "delivery", "price", caller=BOB)
        ask(one, "hours")
        await one.tracker.flush()

        async with one.database.read() as connection:
            counts = (await connection.execute(select(query_follow_ups.c.asked))).scalars().all()
        # Ann's, where her last question was not erased; and Bob's, unless older ones were counted with it.
        assert counts == [1] * ((erased == "delivery") + (not is_elsewhere))


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
    for at in range(following.LATEST + 1):
        lately(asked(str(at)))
    lately(asked("failed", error_code="overloaded"))

    newest = [(await lately.newest()).digest for _ in range(following.LATEST)]

    assert newest == [digest_of(str(at)) for at in range(following.LATEST, 0, -1)]


async def test_a_question_answered_ahead_counts_as_used_once_it_is_found_in_a_cache() -> None:
    """Not after it was made anew all the same, and once only."""
    lately = AskedLately()
    for question in ("a", "b"):
        lately.answered_ahead(LOCAL_OWNER, digest_of(question))
    outcomes: tuple[tuple[str, CacheUse], ...] = (("a", "miss"), ("a", "hit"), ("c", "hit"))
    for question, cache in outcomes:
        lately(asked(question, cache))
    assert lately.used_count == 0
    lately(asked("b", "hit"))
    lately(asked("b", "hit"))

    assert lately.used_count == 1
