"""Popular, completions and similar questions give what going through all of them would give."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from tests.support.questions import open_tracked

from ragstone.analytics import popular as popularity
from ragstone.analytics.popular import most_unseen
from ragstone.analytics.similar import similarity, weight_of
from ragstone.errors import InvalidRequest
from ragstone.service.queries import PopularRequest
from ragstone.store.queries import QueryId

DAYS = st.lists(st.lists(st.integers(0, 30), max_size=40), min_size=1, max_size=5)
RELAXED = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.usefixtures("one_day")
@RELAXED
@given(DAYS)
def test_popular_of_some_days_is_exact(
    tmp_path_factory: pytest.TempPathFactory, days: list[list[int]]
) -> None:
    """The threshold algorithm finds what summing every day would, whatever the days look like."""

    async def check() -> None:
        async with open_tracked(tmp_path_factory.mktemp("days")) as tracked:
            for back, asked in enumerate(days):
                await tracked.store_days_ago(back, [f"q{n}" for n in asked])
            for count in range(1, len(days) + 1):
                sums = Counter(n for asked in days[:count] for n in asked)
                found = await tracked.service.popular(PopularRequest(3, days=count))
                assert [one.count for one in found] == sorted(sums.values(), reverse=True)[:3]
                assert all(one.count == sums[int(one.question[1:])] for one in found)

    first = popularity.FIRST_DEPTH
    popularity.FIRST_DEPTH = 1
    try:
        anyio.run(check)
    finally:
        popularity.FIRST_DEPTH = first


@RELAXED
@given(st.lists(st.text("abC é", min_size=1, max_size=4).filter(str.strip), min_size=1, max_size=60))
def test_completions_are_the_most_asked_that_begin_so(
    tmp_path_factory: pytest.TempPathFactory, asked: list[str]
) -> None:
    """For every prefix: the same counts as going through all questions, at most 8 times asked each."""
    asked = [" ".join(one.split()) for one in asked]
    counts = Counter({one: min(8, count) for one, count in Counter(asked).items()})

    async def check() -> None:
        async with open_tracked(tmp_path_factory.mktemp("prefixes")) as tracked:
            await tracked.store(*counts.elements())
            for prefix in {one[:length] for one in counts for length in (0, 1, 2)}:
                found = await tracked.service.complete(prefix, 5)
                first = await tracked.service.complete(prefix, 1)
                best: dict[str, int] = {}
                for one, count in counts.items():
                    if one.casefold().startswith(prefix.casefold()):
                        best[one.casefold()] = max(count, best.get(one.casefold(), 0))
                assert [one.count for one in found] == sorted(best.values(), reverse=True)[:5]
                assert [one.count for one in first] == [max(best.values())]

    anyio.run(check)


@pytest.mark.anyio
@pytest.mark.usefixtures("one_day")
async def test_filters_narrow_the_popular_ones(tmp_path: Path) -> None:
    """By text, beginning, collection and time of the last asking, alone and together."""
    async with open_tracked(tmp_path) as tracked:
        await tracked.store_days_ago(4, ["Where is the pool?", "Where is the pool?"])
        await tracked.store("Where is the café?", "Who runs the pool?")

        async def found(**wanted: object) -> list[str]:
            questions = await tracked.service.popular(PopularRequest(**wanted))  # type: ignore[arg-type]
            return [one.question for one in questions]

        since_ms = tracked.present_ms() - 3_600_000
        assert await found(text="POOL") == ["Where is the pool?", "Who runs the pool?"]
        assert await found(text="pool", since_ms=since_ms) == ["Who runs the pool?"]
        assert await found(prefix="where", since_ms=since_ms) == ["Where is the café?"]
        assert await found(prefix="where ", days=1) == ["Where is the café?"]
        assert await found(collection="other") == await found(collection="def") == []
        assert len(await found(collection="default", days=5)) == 3


@pytest.mark.anyio
async def test_similar_questions_share_rare_words(tmp_path: Path) -> None:
    """The rarer the shared words, the more similar; the question itself is none; unlike ones are left out."""
    async with open_tracked(tmp_path) as tracked:
        noise = [f"where is the room {n}" for n in range(40)]
        await tracked.store(
            *noise, "Where is the turbine?", "Repair a turbine blade", "turbine blade?", "図書館はどこですか"
        )

        found = await tracked.service.similar("where is the turbine blade", 3)
        cjk = await tracked.service.similar("図書館はどこ", 1)

        assert [one.query.question for one in found] == [
            "turbine blade?",
            "Where is the turbine?",
            "Repair a turbine blade",
        ]
        assert found[0].similarity > found[1].similarity > 0.3
        assert [one.query.question for one in cjk] == ["図書館はどこですか"]
        assert await tracked.service.similar("turbine blade?", 1) != []
        assert "turbine blade?" not in {
            one.query.question for one in await tracked.service.similar("turbine blade?")
        }
        assert await tracked.service.similar("zeppelin") == []


@given(
    st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.floats(0.1, 10), min_size=1, max_size=6),
    st.sets(st.text("abcdef", min_size=1, max_size=2), max_size=6),
)
def test_similarity_lies_between_nothing_shared_and_all_shared(
    weights: dict[str, float], words: set[str]
) -> None:
    """0 when no word is shared, 1 when the words are the same, between them otherwise."""
    found = similarity(weights, words)

    assert 0 <= found <= 1 + 1e-9
    assert (found == 0) == words.isdisjoint(weights)
    assert similarity(weights, set(weights)) == pytest.approx(1)
    assert weight_of(1, 1000) > weight_of(900, 1000) > 0


def test_no_unseen_question_beats_the_threshold() -> None:
    """A day that was read to its end hides nothing."""
    leaders = {1: [(QueryId(1), 5), (QueryId(2), 3)], 2: [(QueryId(1), 9)]}

    assert most_unseen(leaders, 2) == 3
    assert most_unseen(leaders, 1) == 12


@pytest.mark.anyio
async def test_out_of_range_is_refused(tmp_path: Path) -> None:
    """The message names the value and the setting."""
    async with open_tracked(tmp_path) as tracked:
        with pytest.raises(InvalidRequest, match=r"cache\.query_days"):
            await tracked.service.popular(PopularRequest(days=31))
        with pytest.raises(InvalidRequest, match="limit is 0"):
            await tracked.service.complete("a", 0)
        with pytest.raises(InvalidRequest, match="empty"):
            await tracked.service.similar("  ")
        with pytest.raises(InvalidRequest, match="query_max_chars"):
            await tracked.service.complete("x" * 9_000)
