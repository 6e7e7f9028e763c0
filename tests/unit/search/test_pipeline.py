"""A search beside failing legs, other processes, invisible candidates and writers."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Set as AbstractSet
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import aiosqlite
import pytest
from sqlalchemy import event
from sqlalchemy.dialects.sqlite.aiosqlite import AsyncAdapt_aiosqlite_connection
from tests.support.asking import search_over
from tests.support.corpus import Parts, document, open_parts

from ragstone.deadline import Deadline
from ragstone.errors import (
    CollectionNotFound,
    DeadlineExceeded,
    EmbeddingFailed,
    ModelMismatch,
    Overloaded,
)
from ragstone.index.follower import IndexFollower
from ragstone.models.fakes import HashEmbedder
from ragstone.search.pipeline import SearchPipeline
from ragstone.settings import SearchSettings
from ragstone.store.documents import find_by_id, put_document, states_of
from ragstone.telemetry.stages import StageTimer
from ragstone.types import (
    LOCAL_OWNER,
    Candidate,
    Collection,
    CollectionId,
    Compare,
    DocumentId,
    Principal,
    SearchMode,
    SearchRequest,
    SearchResult,
    TenantId,
    Vector,
)

pytestmark = pytest.mark.anyio
HERON = SearchRequest("heron", ("books",))


class BusyEmbedder(HashEmbedder):
    """One whose queue is full."""

    async def embed_query(self, text: str, deadline: Deadline) -> Vector:
        """Refuse."""
        raise Overloaded("Too many queries wait.")


class Meanwhile:
    """The follower, and something that happens once, right after the lexical leg was asked."""

    def __init__(self, follower: IndexFollower, happens: Callable[[], Awaitable[object]]) -> None:
        self._follower = follower
        self._happens = [happens]

    async def search_lexical(
        self, collection_id: CollectionId, query: str, limit: int, allowed: AbstractSet[int] | None
    ) -> list[Candidate]:
        """What the index had before."""
        found = await self._follower.search_lexical(collection_id, query, limit, allowed)
        if self._happens:
            await self._happens.pop()()
        return found

    def __getattr__(self, name: str) -> object:
        return getattr(self._follower, name)


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    """A collection with one document."""
    async with open_parts(tmp_path) as parts:
        await parts.put(await parts.create("books"), document("The heron waits."))
        yield parts


def pipeline(
    parts: Parts, embedder: HashEmbedder | None = None, settings: SearchSettings | None = None
) -> SearchPipeline:
    """A search over the parts."""
    return search_over(parts, embedder, settings)


async def search(
    found: SearchPipeline, request: SearchRequest = HERON, deadline: Deadline | None = None
) -> SearchResult:
    """The result."""
    return await found.run(request, deadline or Deadline.never(), StageTimer("search"))


async def test_a_failing_leg_is_named_and_the_other_answers(parts: Parts) -> None:
    """The hit comes from the lexical leg alone; the dense one is in `degraded`."""
    embedder = HashEmbedder()
    embedder.is_failing = True

    result = await search(pipeline(parts, embedder))

    assert result.degraded == ("dense:failed",)
    assert [hit.scores.dense for hit in result.hits] == [None]


async def test_a_leg_that_takes_too_long_is_named(parts: Parts) -> None:
    """After search.leg_timeout_s the other leg answers alone."""
    embedder = HashEmbedder()
    embedder.gate = asyncio.Event()

    result = await search(pipeline(parts, embedder, SearchSettings(leg_timeout_s=0.05)))

    assert result.degraded == ("dense:timeout",)
    assert len(result.hits) == 1


async def test_a_full_queue_costs_a_leg_not_the_search(parts: Parts) -> None:
    """An embedder that refuses is named as overloaded; with no other leg the refusal is the answer."""
    assert (await search(pipeline(parts, BusyEmbedder()))).degraded == ("dense:overloaded",)

    with pytest.raises(Overloaded):
        await search(pipeline(parts, BusyEmbedder()), replace(HERON, mode="dense"))


async def test_a_foreign_model_costs_the_dense_leg(parts: Parts) -> None:
    """Vectors of another model are never compared; asked for them alone, the error names both models."""
    foreign = HashEmbedder(revision="2")

    assert (await search(pipeline(parts, foreign))).degraded == ("dense:model_mismatch",)
    with pytest.raises(ModelMismatch, match=r"hash@1.*hash@2"):
        await search(pipeline(parts, foreign), replace(HERON, mode="dense"))


async def test_without_any_leg_there_is_an_error(parts: Parts) -> None:
    """An answer that would be empty for want of a part is not given."""
    embedder = HashEmbedder()
    embedder.is_failing = True

    with pytest.raises(EmbeddingFailed):
        await search(pipeline(parts, embedder), replace(HERON, mode="dense"))


async def test_no_time_is_an_error(parts: Parts) -> None:
    """Nothing begins after the deadline."""
    with pytest.raises(DeadlineExceeded, match="before search"):
        await search(pipeline(parts), deadline=Deadline(0.0, 1.0, clock=lambda: 1.0))


@pytest.mark.parametrize("mode", ["hybrid", "lexical", "dense"])
async def test_another_process_is_waited_for(parts: Parts, tmp_path: Path, mode: SearchMode) -> None:
    """What the other one wrote before the search began is found, at the version of that write."""
    async with open_parts(tmp_path) as there:
        books = there.follower.collections_of(LOCAL_OWNER.tenant_id)["books"]
        await there.put(books, document("A stork waits.", document_id="s"))
        version = await there.database.corpus_version()

        result = await search(pipeline(parts), SearchRequest("stork", ("books",), mode))

    assert "s" in {hit.document_id for hit in result.hits}
    assert result.corpus_version == version


async def test_a_collection_of_another_process_is_found(parts: Parts, tmp_path: Path) -> None:
    """A name that this process has not heard of yet is looked up before it is refused."""
    async with open_parts(tmp_path) as there:
        await there.put(await there.create("films"), document("A stork."))

        result = await search(pipeline(parts), SearchRequest("stork", ("films",)))

    assert len(result.hits) == 1
    with pytest.raises(CollectionNotFound, match="books, films"):
        await search(pipeline(parts), SearchRequest("stork", ("plays",)))


@pytest.mark.parametrize("mode", ["hybrid", "lexical", "dense"])
async def test_invisible_candidates_are_refilled(parts: Parts, mode: SearchMode) -> None:
    """Though every near candidate is restricted, the reader gets top_k documents that it may see."""
    books = parts.follower.collections_of(LOCAL_OWNER.tenant_id)["books"]
    closed = [document("heron heron", access_groups=frozenset({"board"})) for _ in range(40)]
    await parts.put(books, *closed, *(document(f"heron and other birds {at}") for at in range(5)))
    reader = Principal(access_groups=frozenset({"staff"}))
    request = replace(HERON, mode=mode, top_k=5, principal=reader)

    result = await search(pipeline(parts, settings=SearchSettings(candidates=6)), request)

    assert len(result.hits) == 5
    assert all(hit.text != "heron heron" for hit in result.hits)


async def test_more_invisible_candidates_than_a_statement_takes(parts: Parts) -> None:
    """The one document that the reader may see is found behind more chunks than SQLite takes values."""
    books = parts.follower.collections_of(LOCAL_OWNER.tenant_id)["books"]
    closed = document("heron " * 3_000, access_groups=frozenset({"board"}), chunk_chars=6)
    await parts.put(books, closed)
    reader = Principal(access_groups=frozenset({"staff"}))
    request = replace(HERON, mode="lexical", top_k=1, principal=reader)
    take_values(parts, 2_000)

    result = await search(pipeline(parts, settings=SearchSettings(candidates=1000)), request)

    assert [hit.text for hit in result.hits] == ["The heron waits."]


async def test_tenants_do_not_see_each_other(parts: Parts) -> None:
    """A collection's name is the tenant's own; a foreign one does not exist."""
    theirs = TenantId("theirs")
    films = await parts.create("films", theirs)
    await parts.put(films, document("The heron of theirs.", tenant_id=theirs))

    result = await search(
        pipeline(parts), replace(HERON, collections=("films",), principal=Principal(theirs))
    )

    assert [hit.text for hit in result.hits] == ["The heron of theirs."]
    with pytest.raises(CollectionNotFound):
        await search(pipeline(parts), replace(HERON, collections=("films",)))


async def test_a_filter_and_a_search_see_one_truth(parts: Parts) -> None:
    """A filter that nothing matches finds nothing, in any mode."""
    request = replace(HERON, filters=Compare("eq", "year", 1999))

    assert (await search(pipeline(parts), request)).hits == ()


async def test_a_document_replaced_while_the_legs_are_asked_is_found(parts: Parts) -> None:
    """The candidate is gone, and the indexes have its successor by the time that one looks."""
    books = parts.follower.collections_of(LOCAL_OWNER.tenant_id)["books"]
    async with parts.database.read() as connection:
        (old,) = await states_of(connection, LOCAL_OWNER, books.id, None)

    async def replaced() -> None:
        async with parts.writer.change() as change:
            new = document("The heron flies.", document_id=old.id)
            key, _ = await put_document(change.connection, books.id, new, old)
            change.touch(books.id, [key])

    follower = cast("IndexFollower", Meanwhile(parts.follower, replaced))

    result = await search(pipeline(replace(parts, follower=follower)), replace(HERON, mode="lexical"))

    assert [hit.text for hit in result.hits] == ["The heron flies."]


async def test_what_another_process_acknowledged_before_is_found_whoever_catches_up(
    parts: Parts, tmp_path: Path
) -> None:
    """Another request brings the indexes up to date between this one's legs and its look at the rows."""
    async with open_parts(tmp_path) as there:
        books = there.follower.collections_of(LOCAL_OWNER.tenant_id)["books"]
        await there.put(books, document("Another heron."))
    follower = cast("IndexFollower", Meanwhile(parts.follower, partial(parts.follower.catch_up, 3)))

    result = await search(pipeline(replace(parts, follower=follower)), replace(HERON, mode="lexical"))

    assert {hit.text for hit in result.hits} == {"The heron waits.", "Another heron."}
    assert result.corpus_version == 3


async def test_searches_beside_replacements_never_show_old_text(parts: Parts) -> None:
    """While a document is replaced again and again, no hit is older than the last acknowledged version."""
    books = parts.follower.collections_of(LOCAL_OWNER.tenant_id)["books"]
    await parts.put(books, document("ibis 0", document_id="i"))
    found = pipeline(parts)
    acknowledged = 0
    seen: list[int] = []

    async def write() -> None:
        nonlocal acknowledged
        for number in range(1, 16):
            await replace_text(parts, books, "i", f"ibis {number}")
            acknowledged = number

    async def read(done: asyncio.Task[None]) -> None:
        while not done.done():
            least = acknowledged
            result = await search(found, SearchRequest("ibis", ("books",)))
            (number,) = [int(hit.text.split()[1]) for hit in result.hits if hit.text.startswith("ibis")]
            assert number >= least
            seen.append(number)

    writing = asyncio.create_task(write())
    await asyncio.gather(writing, read(writing), read(writing))

    assert len(set(seen)) > 1, "the searches did not come between the writes"


async def replace_text(parts: Parts, collection: Collection, name: str, text: str) -> None:
    """Another text for a document."""
    async with parts.writer.change() as change:
        old = await find_by_id(change.connection, LOCAL_OWNER, DocumentId(name))
        key, _ = await put_document(change.connection, collection.id, document(text, document_id=name), old)
        change.touch(collection.id, [key])


def take_values(parts: Parts, count: int) -> None:
    """Let statements that read have `count` values at most, as some builds of SQLite do with 32,766."""

    def limit(dbapi_connection: AsyncAdapt_aiosqlite_connection, *_: object) -> None:
        async def set_limit(connection: aiosqlite.Connection) -> object:
            execute = cast("Callable[..., Awaitable[object]]", connection._execute)
            return await execute(connection._conn.setlimit, sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, count)

        dbapi_connection.run_async(set_limit)

    event.listen(parts.database._reader.sync_engine, "checkout", limit)
