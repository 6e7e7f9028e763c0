"""Changes that another process commits between any two looks of a follower at the rows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.support.corpus import WRITER_MEMORY_MB, Parts, document, open_parts, open_store

from ragstone.index.follower import IndexFollower, open_follower
from ragstone.index.slot import take_slot
from ragstone.store.database import Database
from ragstone.store.documents import find_by_id, put_document
from ragstone.store.passages import chunk_keys
from ragstone.types import LOCAL_OWNER, Collection, DocumentId

pytestmark = pytest.mark.anyio

FEWEST_LOOKS = 4
KEPT = "heron ".ljust(40)


class InterruptedDatabase(Database):
    """Lets something happen before one of its reads."""

    looks_left = -1
    happens: Callable[[], Awaitable[None]]

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """As ever, after what happens before the chosen one."""
        self.looks_left -= 1
        if self.looks_left == 0:
            await self.happens()
        async with super().read() as connection:
            yield connection


@pytest.mark.parametrize("is_open", [True, False])
async def test_no_change_is_lost_whenever_the_next_one_comes(tmp_path: Path, is_open: bool) -> None:
    """A document is amended while the amendment before is applied, or while the indexes are opened: before
    each read of the rows in turn. Both indexes end with the rows' chunks, and every word is found.
    """
    looks = 0
    while await was_interrupted(tmp_path / str(looks), looks + 1, is_open=is_open):
        looks += 1

    assert looks >= FEWEST_LOOKS


async def was_interrupted(home: Path, look: int, *, is_open: bool) -> bool:
    """Whether there were so many looks that one was interrupted; what it left is checked."""
    async with open_parts(home) as writing, open_store(home / "ragstone.db") as store:
        books = await writing.create("books")
        await writing.put(books, document(KEPT + "stork", document_id="a"))
        database = InterruptedDatabase(store.path, store._reader, store._writer, store._settings)
        database.happens = lambda: amend(writing, books, "ibis")
        following = await open_follower(database, take_slot(home / "index"), WRITER_MEMORY_MB)
        if is_open:
            await amend(writing, books, "crane")
            database.looks_left = look
            await following.catch_up(await writing.database.corpus_version())
        else:
            await following.aclose()
            database.looks_left = look
            following = await open_follower(database, take_slot(home / "index"), WRITER_MEMORY_MB)
        try:
            was_interrupted = database.looks_left <= 0
            database.looks_left = -1
            await following.catch_up(await writing.database.corpus_version())
            async with database.read() as connection:
                rows = await chunk_keys(connection, books.id)
            assert following.index_keys()[books.id] == (rows, rows), f"interrupted before look {look}"
            assert bool(await found(following, books, "ibis")) is was_interrupted
        finally:
            await following.aclose()
    return was_interrupted


async def found(follower: IndexFollower, collection: Collection, word: str) -> list[int]:
    """The chunks with a word."""
    return [one.key for one in await follower.search_lexical(collection.id, word, 100, None)]


async def amend(parts: Parts, collection: Collection, last: str) -> None:
    """Another end for the document: its first chunk keeps its key."""
    async with parts.writer.change() as change:
        old = await find_by_id(change.connection, LOCAL_OWNER, DocumentId("a"))
        new = document(KEPT + last, document_id="a")
        key, _ = await put_document(change.connection, collection.id, new, old)
        change.touch_chunks(collection.id, key)
