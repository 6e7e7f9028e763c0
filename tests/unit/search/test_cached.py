"""Searches and answers behind their caches: what is kept, what is shared, and whose time counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.asking import answers_over, search_over
from tests.support.corpus import Parts, document, open_parts
from tests.support.waiting import turns

from ragstone.answer.events import Finished
from ragstone.cache.cache import Cache, limits_of
from ragstone.deadline import Deadline
from ragstone.errors import DeadlineExceeded
from ragstone.models.fakes import HashEmbedder, QuotingGenerator
from ragstone.search.cached import CachingSearch
from ragstone.search.standing import Standings
from ragstone.settings import CacheSettings
from ragstone.telemetry.stages import StageTimer
from ragstone.types import (
    LOCAL_OWNER,
    Answer,
    AnswerRequest,
    Compare,
    SearchRequest,
    SearchResult,
    Vector,
)

pytestmark = pytest.mark.anyio
HERON = SearchRequest("heron", ("books",), mode="dense")


class HandClock:
    """A clock that stands still until it is set."""

    now_s = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now_s


class PunctualEmbedder(HashEmbedder):
    """One that looks at the time when it is let go on."""

    async def embed_query(self, text: str, deadline: Deadline) -> Vector:
        """The vector, if there is time left."""
        found = await super().embed_query(text, Deadline.never())
        deadline.check("embedding")
        return found


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    """A collection with one document."""
    async with open_parts(tmp_path) as parts:
        await parts.put(await parts.create("books"), document("The heron waits."))
        yield parts


def caching_search(parts: Parts, embedder: HashEmbedder) -> CachingSearch:
    """A search behind a cache."""
    standings = Standings(parts.database, parts.follower, 1000)
    return CachingSearch(search_over(parts, embedder), standings, Cache(limits_of(CacheSettings())), "r")


async def search(
    found: CachingSearch, request: SearchRequest = HERON, deadline: Deadline | None = None
) -> SearchResult:
    """The result."""
    return await found.run(request, deadline or Deadline.after(5), StageTimer("search"))


async def test_who_follows_a_search_does_not_end_by_the_time_of_another(parts: Parts) -> None:
    """When it is over for whoever began, the follower goes on by itself."""
    embedder, clock = PunctualEmbedder(), HandClock()
    embedder.gate = asyncio.Event()
    found = caching_search(parts, embedder)
    first = asyncio.ensure_future(search(found, deadline=Deadline.after(100, clock)))
    second = asyncio.ensure_future(search(found, deadline=Deadline.after(120, clock)))
    await turns()
    clock.now_s = 110
    embedder.gate.set()

    with pytest.raises(DeadlineExceeded):
        await first
    result = await second
    assert [hit.text for hit in result.hits] == ["The heron waits."]
    assert result.cache == "miss"


async def test_who_follows_an_answer_does_not_end_by_the_time_of_another(parts: Parts) -> None:
    """As long as nothing of it was said."""
    embedder, clock = PunctualEmbedder(), HandClock()
    embedder.gate = asyncio.Event()
    cache = Cache(limits_of(CacheSettings()))
    _, answers = answers_over(parts, QuotingGenerator(), embedder, cache)

    async def ask(deadline: Deadline) -> Answer:
        run = answers.run(AnswerRequest(HERON), deadline, StageTimer("answer"))
        async with aclosing(run) as events:
            said = [event async for event in events]
        assert isinstance(said[-1], Finished)
        return said[-1].answer

    first = asyncio.ensure_future(ask(Deadline.after(100, clock)))
    second = asyncio.ensure_future(ask(Deadline.after(120, clock)))
    await turns()
    clock.now_s = 110
    embedder.gate.set()

    with pytest.raises(DeadlineExceeded):
        await first
    assert (await second).text == "text1: The heron waits [1]."


async def test_waiting_for_another_process_has_a_limit(parts: Parts, tmp_path: Path) -> None:
    """A request does not wait for the indexes beyond its time."""
    found = caching_search(parts, HashEmbedder())
    async with open_parts(tmp_path) as there:
        books = there.follower.collections_of(LOCAL_OWNER.tenant_id)["books"]
        await there.put(books, document("Another heron."))

    async with parts.follower._turn:
        with pytest.raises(DeadlineExceeded, match="did not catch up with version 3 within the"):
            await search(found, deadline=Deadline.after(0.01))

    assert len((await search(found)).hits) == 2


@pytest.mark.parametrize("number", [2**70, 10**30])
async def test_large_numbers_are_as_good_as_others(parts: Parts, number: int) -> None:
    """In metadata and in filters: what cannot be kept is found anew."""
    found = caching_search(parts, HashEmbedder())
    books = parts.follower.collections_of(LOCAL_OWNER.tenant_id)["books"]
    await parts.put(books, document("A large heron.", metadata={"n": number}))

    results = [await search(found) for _ in range(2)]
    filtered = await search(found, replace(HERON, filters=Compare("lt", "n", number)))

    assert [len(result.hits) for result in results] == [2, 2]
    assert filtered.hits == ()


async def test_what_changed_while_it_was_made_is_not_kept(parts: Parts) -> None:
    """Neither is a result that a leg is missing from."""
    embedder = HashEmbedder()
    embedder.gate = asyncio.Event()
    found = caching_search(parts, embedder)
    books = parts.follower.collections_of(LOCAL_OWNER.tenant_id)["books"]
    searching = asyncio.ensure_future(search(found))
    await turns()
    await parts.put(books, document("Another heron."))
    embedder.gate.set()
    await searching

    assert (await search(found)).cache == "miss"
    assert (await search(found)).cache == "hit"
    embedder.is_failing = True
    hybrid = replace(HERON, mode="hybrid")
    for _ in range(2):
        result = await search(found, hybrid)
        assert (result.cache, result.degraded) == ("miss", ("dense:failed",))
