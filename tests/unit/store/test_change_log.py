"""Versions rise by one a change in commit order, whoever writes, and the log tells them in that order."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.support.corpus import collection_named, open_store, store_collection

from ragstone.store.change_log import changes_after, record_collection, record_documents
from ragstone.store.collections import find_collections, mark_collection
from ragstone.store.database import Database, raise_version
from ragstone.types import DEFAULT_TENANT, CollectionId, DocumentKey

pytestmark = pytest.mark.anyio
WRITERS = 12


async def test_concurrent_writers_of_two_processes_number_every_change_once(tmp_path: Path) -> None:
    """Two databases open on one file, many writes at once: versions run from 1 without gap or repetition."""
    async with open_store(tmp_path / "a.db") as here, open_store(tmp_path / "a.db") as there:
        collection_id = await a_collection(here)
        order: list[int] = []

        async def write(database: Database, key: int) -> None:
            async with database.write() as connection:
                version = await raise_version(connection)
                await asyncio.sleep(0)  # another writer gets the chance to come between
                await record_documents(connection, version, collection_id, {DocumentKey(key): "document"})
                order.append(version)

        await asyncio.gather(*(write((here, there)[at % 2], at) for at in range(WRITERS)))

        async with here.read() as connection:
            changes = await changes_after(connection, 0)
        assert sorted(order) == list(range(1, WRITERS + 1))
        assert [change.version for change in changes] == list(range(1, WRITERS + 1))
        assert {change.document_key for change in changes} == set(range(WRITERS))
        assert await there.corpus_version() == WRITERS


async def test_a_version_that_is_rolled_back_is_given_again(tmp_path: Path) -> None:
    """Nobody sees a number whose change did not happen, and no gap stays."""
    async with open_store(tmp_path / "a.db") as database:

        async def fail() -> None:
            async with database.write() as connection:
                assert await raise_version(connection) == 1
                raise RuntimeError("no")

        with pytest.raises(RuntimeError, match="no"):
            await fail()

        assert await database.corpus_version() == 0
        async with database.write() as connection:
            assert await raise_version(connection) == 1


async def test_the_log_is_read_from_any_version_on(tmp_path: Path) -> None:
    """Changes after a version come in order: documents put, a collection made, another dropped."""
    async with open_store(tmp_path / "a.db") as database:
        collection_id = await a_collection(database)
        async with database.write() as connection:
            await record_collection(connection, 1, collection_id, "created")
            await record_documents(
                connection, 2, collection_id, {DocumentKey(5): "document", DocumentKey(4): "chunks"}
            )
            await record_documents(connection, 2, collection_id, {})
            await record_collection(connection, 3, collection_id, "dropped")

        async with database.read() as connection:
            after = {version: await changes_after(connection, version) for version in range(4)}

    assert [change.op for change in after[0]] == ["created", "chunks", "document", "dropped"]
    assert {change.document_key for change in after[1] if change.version == 2} == {4, 5}
    assert [change.version for change in after[2]] == [3]
    assert after[3] == []


async def test_a_collection_keeps_the_version_of_its_last_change(tmp_path: Path) -> None:
    """Marking one collection leaves the others' versions alone."""
    async with open_store(tmp_path / "a.db") as database:
        collection_id = await a_collection(database)
        async with database.write() as connection:
            await store_collection(connection, collection_named("quiet"))
            await mark_collection(connection, collection_id, 7)

        async with database.read() as connection:
            found = await find_collections(connection, DEFAULT_TENANT)

    assert {collection.name: collection.version for collection in found} == {"books": 7, "quiet": 0}


async def a_collection(database: Database) -> CollectionId:
    """The collection of these tests."""
    async with database.write() as connection:
        return (await store_collection(connection, collection_named("books"))).id
