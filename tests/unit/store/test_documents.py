"""A document's rows come and go together, keys are never used twice, text comes back exactly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select
from tests.support.corpus import collection_named, document, open_store, store_collection

from ragstone.store.chunks import vectors_by_hash
from ragstone.store.collections import remove_collection
from ragstone.store.database import Database, StoreConnection
from ragstone.store.documents import (
    SEGMENT_CHARS,
    NewDocument,
    StoredState,
    edit_document,
    find_by_id,
    get_document,
    put_document,
    remove_document,
)
from ragstone.store.listing import Listing, SortKey, list_documents
from ragstone.store.passages import chunk_keys, hydrated_by_key
from ragstone.store.reading import read_passage
from ragstone.store.tables import metadata
from ragstone.types import (
    LOCAL_OWNER,
    ChunkKey,
    Collection,
    DocumentId,
    DocumentKey,
    PageSpan,
    SectionSpan,
    Span,
)

pytestmark = pytest.mark.anyio
OWNED = ("documents", "chunks", "vectors", "text_segments", "sections", "document_groups")
"""Tables whose rows belong to one document."""


async def test_replacing_leaves_no_row_of_the_old_version(tmp_path: Path) -> None:
    """After a replacement every table holds the new version's rows and nothing else."""
    async with open_store(tmp_path / "a.db") as database:
        collection = await a_collection(database)
        old = a_full_document("old words. " * 40, "d1")
        await put(database, collection, old)

        await put(database, collection, document("New.", document_id="d1"))

        assert await counts(database) == {
            "documents": 1,
            "chunks": 1,
            "vectors": 1,
            "text_segments": 1,
            "sections": 0,
            "document_groups": 0,
        }
        found = await find(database, "d1")
        assert (found.version, found.chunk_count) == (2, 1)


async def test_removing_takes_every_row_along(tmp_path: Path) -> None:
    """After a removal no table holds anything of the document; its neighbour is whole."""
    async with open_store(tmp_path / "a.db") as database:
        collection = await a_collection(database)
        await put(database, collection, a_full_document("neighbour " * 30, "d2"))
        before = await counts(database)
        key = await put(database, collection, a_full_document("going " * 30, "d1"))

        async with database.write() as connection:
            await remove_document(connection, key)

        assert await counts(database) == before


async def test_removing_a_collection_takes_its_documents_along(tmp_path: Path) -> None:
    """Nothing of any document of a dropped collection stays."""
    async with open_store(tmp_path / "a.db") as database:
        collection = await a_collection(database)
        await put(database, collection, a_full_document("one " * 30, "d1"))
        await put(database, collection, a_full_document("two " * 30, "d2"))

        async with database.write() as connection:
            await remove_collection(connection, collection.id)

        assert set((await counts(database)).values()) == {0}


async def test_every_owned_table_is_looked_at() -> None:
    """A table that refers to documents or chunks is one of those that the tests above count."""
    referring = {
        table.name
        for table in metadata.tables.values()
        if any(key.column.table.name in ("documents", "chunks") for key in table.foreign_keys)
    }

    assert referring | {"documents"} == set(OWNED)


async def test_keys_are_never_used_twice(tmp_path: Path) -> None:
    """Neither after a replacement nor after a removal and a new opening of the file."""
    seen: set[int] = set()
    path = tmp_path / "a.db"
    for _ in range(3):
        async with open_store(path) as database:
            collection = await a_collection(database)
            for text in ("one " * 30, "two " * 20):
                key = await put(database, collection, document(text, document_id="d1"))
                async with database.read() as connection:
                    fresh = await chunk_keys(connection, collection.id)
                assert fresh
                assert seen.isdisjoint(fresh)
                seen |= fresh
            assert key not in seen or key < min(fresh)
            async with database.write() as connection:
                await remove_document(connection, key)


async def test_document_keys_are_never_used_twice(tmp_path: Path) -> None:
    """A document added after the newest one was removed has a higher key, also after reopening."""
    keys: list[int] = []
    for number in range(3):
        async with open_store(tmp_path / "a.db") as database:
            collection = await a_collection(database)
            keys.append(await put(database, collection, document("text", document_id=f"d{number}")))
            async with database.write() as connection:
                await remove_document(connection, DocumentKey(keys[-1]))

    assert keys == sorted(set(keys))


@pytest.mark.parametrize("extra", [-1, 0, 1, SEGMENT_CHARS])
async def test_text_is_the_same_across_segment_borders(tmp_path: Path, extra: int) -> None:
    """Characters outside the basic plane at a border come back, whole and by any span around it."""
    text = "a" * (SEGMENT_CHARS - 2) + "🦀🎉é漢" + "b" * (SEGMENT_CHARS + extra - 2)
    async with open_store(tmp_path / "a.db") as database:
        collection = await a_collection(database)
        await put(database, collection, document(text, document_id="d1", chunk_chars=1000))
        border = SEGMENT_CHARS

        async with database.read() as connection:
            whole = await read_passage(connection, LOCAL_OWNER, a_id("d1"), Span(0, len(text)))
            near = [
                await read_passage(connection, LOCAL_OWNER, a_id("d1"), Span(start, end))
                for start in range(border - 3, border + 3)
                for end in range(start, border + 4)
            ]
            chunks = await hydrated_by_key(
                connection, sorted(ChunkKey(key) for key in await chunk_keys(connection, collection.id))
            )

    assert whole is not None
    assert whole.text == text
    for passage in near:
        assert passage is not None
        assert passage.text == passage.span.of(text)
    for chunk in chunks.values():
        assert chunk.text == chunk.span.of(text)
    assert "".join(chunk.text for _, chunk in sorted(chunks.items())) == text


async def test_a_span_is_cut_to_the_text(tmp_path: Path) -> None:
    """A span beyond the end gives what there is, and says where that lies."""
    async with open_store(tmp_path / "a.db") as database:
        await put(database, await a_collection(database), document("short", document_id="d1"))

        async with database.read() as connection:
            beyond = await read_passage(connection, LOCAL_OWNER, a_id("d1"), Span(3, 10**12))
            outside = await read_passage(connection, LOCAL_OWNER, a_id("d1"), Span(10, 20))

    assert beyond is not None
    assert outside is not None
    assert (beyond.text, beyond.span, beyond.char_count) == ("rt", Span(3, 5), 5)
    assert (outside.text, outside.span) == ("", Span(5, 5))


async def test_a_passage_names_its_page_and_section(tmp_path: Path) -> None:
    """The page and heading path in force where the span begins."""
    text = "page one|page two"
    pages = (PageSpan(1, Span(0, 9)), PageSpan(2, Span(9, 17)))
    sections = (SectionSpan(("A", "B"), Span(5, 17)),)
    async with open_store(tmp_path / "a.db") as database:
        new = document(text, document_id="d1", pages=pages, sections=sections)
        await put(database, await a_collection(database), new)

        async with database.read() as connection:
            first = await read_passage(connection, LOCAL_OWNER, a_id("d1"), Span(0, 4))
            second = await read_passage(connection, LOCAL_OWNER, a_id("d1"), Span(9, 12))

    assert first is not None
    assert second is not None
    assert (first.page, first.section) == (1, ())
    assert (second.page, second.section) == (2, ("A", "B"))


async def test_an_edit_keeps_text_chunks_and_vectors(tmp_path: Path) -> None:
    """Title and metadata change; the rows below the document are the very same."""
    async with open_store(tmp_path / "a.db") as database:
        collection = await a_collection(database)
        key = await put(database, collection, a_full_document("stay " * 30, "d1"))
        before = await counts(database)
        async with database.read() as connection:
            keys, vectors = (
                await chunk_keys(connection, collection.id),
                await vectors_by_hash(connection, key),
            )

        async with database.write() as connection:
            await edit_document(connection, key, "New title", {"year": 2024})

        async with database.read() as connection:
            found = await get_document(connection, LOCAL_OWNER, a_id("d1"))
            assert await chunk_keys(connection, collection.id) == keys
            assert await vectors_by_hash(connection, key) == vectors
        assert found is not None
        assert (found.title, found.metadata, found.version) == ("New title", {"year": 2024}, 1)
        assert await counts(database) == before


async def test_documents_are_listed_in_pages_in_the_order_they_came(tmp_path: Path) -> None:
    """Going on after the last key of a page gives the rest, without a gap or a repetition."""
    async with open_store(tmp_path / "a.db") as database:
        collection = await a_collection(database)
        for number in range(5):
            await put(database, collection, document("text", document_id=f"d{number}"))

        async with database.read() as connection:
            seen = await in_pages(connection, Listing(collection.id, limit=2))

    assert seen == ["d0", "d1", "d2", "d3", "d4"]


@pytest.mark.parametrize("is_descending", [False, True])
@pytest.mark.parametrize("sort", ["title", "size_bytes", "chunk_count"])
async def test_pages_in_any_order_hold_each_document_once(
    tmp_path: Path, sort: SortKey, is_descending: bool
) -> None:
    """Equal values stand in the order they came, from page to page, and backwards when descending."""
    texts = ["b" * 50, "a", "c" * 50, "d", "e" * 200]
    async with open_store(tmp_path / "a.db") as database:
        collection = await a_collection(database)
        for number, text in enumerate(texts):
            await put(database, collection, document(text, document_id=f"d{number}", title=text[0].upper()))

        async with database.read() as connection:
            listing = Listing(collection.id, sort=sort, is_descending=is_descending, limit=2)
            seen = await in_pages(connection, listing)

    order = ["d1", "d0", "d2", "d3", "d4"] if sort == "title" else ["d1", "d3", "d0", "d2", "d4"]
    assert seen == (order[::-1] if is_descending else order)


async def test_a_failing_write_leaves_nothing(tmp_path: Path) -> None:
    """An error in the transaction takes back every row that it wrote."""
    async with open_store(tmp_path / "a.db") as database:
        collection = await a_collection(database)

        async def put_half() -> None:
            async with database.write() as connection:
                await put_document(connection, collection.id, a_full_document("gone " * 9, "d1"), None)
                raise RuntimeError("halfway")

        with pytest.raises(RuntimeError, match="halfway"):
            await put_half()

        assert set((await counts(database)).values()) == {0}


async def in_pages(connection: StoreConnection, listing: Listing) -> list[str]:
    """The ids of all pages, in order."""
    seen: list[str] = []
    while page := await list_documents(connection, LOCAL_OWNER, listing):
        seen += [found.id for found, _ in page]
        listing = replace(listing, after=page[-1][1])
    return seen


def a_full_document(text: str, document_id: str) -> NewDocument:
    """A document with rows in every table."""
    return document(
        text,
        document_id=document_id,
        access_groups=frozenset({"staff", "board"}),
        pages=(PageSpan(1, Span(0, len(text))),),
        sections=(SectionSpan(("Heading",), Span(0, len(text))),),
    )


def a_id(name: str) -> DocumentId:
    """A document id."""
    return DocumentId(name)


async def a_collection(database: Database) -> Collection:
    """The collection of these tests."""
    async with database.write() as connection:
        return await store_collection(connection, collection_named("books"))


async def put(database: Database, collection: Collection, new: NewDocument) -> DocumentKey:
    """Store a version in place of the one that is there."""
    async with database.write() as connection:
        old = await find_by_id(connection, LOCAL_OWNER, new.id)
        return (await put_document(connection, collection.id, new, old))[0]


async def find(database: Database, name: str) -> StoredState:
    """A document that is there."""
    async with database.read() as connection:
        found = await find_by_id(connection, LOCAL_OWNER, a_id(name))
    assert found is not None
    return found


async def counts(database: Database) -> dict[str, int]:
    """Rows in every table that belongs to documents."""
    async with database.read() as connection:
        return {
            name: (
                await connection.execute(select(func.count()).select_from(metadata.tables[name]))
            ).scalar_one()
            for name in OWNED
        }
