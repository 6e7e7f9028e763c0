"""Collections: a name belongs to one tenant, counts follow the documents, unknown names are explained."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.corpus import collection_named, document, open_store

from ragstone.errors import CollectionNotFound, InvalidRequest
from ragstone.store.collections import (
    all_collections,
    check_name,
    create_collection,
    list_collections,
    require_collection,
)
from ragstone.store.documents import put_document
from ragstone.types import TenantId

pytestmark = pytest.mark.anyio
OURS, THEIRS = TenantId("ours"), TenantId("theirs")


@pytest.mark.parametrize("name", ["a", "0", "a-b_c", "x" * 63])
async def test_good_names_pass(name: str) -> None:
    """Lower-case letters, digits, _ and -, at most 63 of them."""
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "_a", "A", "a b", "ä", "x" * 64, "a\n", "a/b"])
async def test_bad_names_are_refused(name: str) -> None:
    """The message shows the name and what would be right."""
    with pytest.raises(InvalidRequest, match="cannot name a collection"):
        check_name(name)


async def test_a_name_is_made_once_per_tenant(tmp_path: Path) -> None:
    """Creating it again gives the one that is there; another tenant's is another."""
    async with open_store(tmp_path / "a.db") as database:
        async with database.write() as connection:
            first = await create_collection(connection, collection_named("books", OURS))
            again = await create_collection(connection, collection_named("books", OURS, language="de"))
            foreign = await create_collection(connection, collection_named("books", THEIRS))

        assert again == first
        assert foreign.id != first.id
        async with database.read() as connection:
            assert len(await all_collections(connection)) == 2


async def test_counts_follow_the_documents(tmp_path: Path) -> None:
    """Documents and chunks are counted per collection; an empty one counts nothing."""
    async with open_store(tmp_path / "a.db") as database:
        async with database.write() as connection:
            books = await create_collection(connection, collection_named("books", OURS))
            await create_collection(connection, collection_named("empty", OURS))
            for text in ("x" * 100, "y" * 30):
                await put_document(connection, books.id, document(text, chunk_chars=40), None)

        async with database.read() as connection:
            found = await list_collections(connection, OURS)

    assert [(part.name, part.document_count, part.chunk_count) for part in found] == [
        ("books", 2, 4),
        ("empty", 0, 0),
    ]


async def test_an_unknown_name_is_answered_with_those_there_are(tmp_path: Path) -> None:
    """Only the tenant's own names are told."""
    async with open_store(tmp_path / "a.db") as database:
        async with database.write() as connection:
            await create_collection(connection, collection_named("books", OURS))
            await create_collection(connection, collection_named("secret", THEIRS))

        async with database.read() as connection:
            assert (await require_collection(connection, OURS, "books")).name == "books"
            with pytest.raises(CollectionNotFound, match="bocks") as failure:
                await require_collection(connection, OURS, "bocks")

    assert "books" in failure.value.message
    assert "secret" not in failure.value.message
