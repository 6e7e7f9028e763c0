"""A stretch of stored text is of one version of its document, whoever writes meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event
from tests.support.corpus import collection_named, document, open_store, store_collection

from ragstone.store.database import Database
from ragstone.store.documents import SEGMENT_CHARS, put_document
from ragstone.store.passages import chunk_keys, hydrated_by_key
from ragstone.store.reading import read_around, read_passage
from ragstone.types import LOCAL_OWNER, ChunkKey, DocumentId, PageSpan, SectionSpan, Span

pytestmark = pytest.mark.anyio
TEXT = "".join(f"{number:07d} " for number in range(2 * SEGMENT_CHARS // 8))
CHUNK_CHARS = 1000


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """What readers send within the block."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    engine = database._reader.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine, "before_cursor_execute", note)


async def store(database: Database) -> list[str]:
    """A book of `TEXT`; the ids of its chunks in order."""
    async with database.write() as connection:
        collection = await store_collection(connection, collection_named("books"))
        new = document(
            TEXT,
            document_id="book",
            pages=(PageSpan(1, Span(0, 5000)), PageSpan(2, Span(5000, len(TEXT)))),
            sections=(SectionSpan(("A",), Span(1000, len(TEXT))),),
            chunk_chars=CHUNK_CHARS,
        )
        await put_document(connection, collection.id, new, None)
    async with database.read() as connection:
        keys = [ChunkKey(key) for key in sorted(await chunk_keys(connection, collection.id))]
        found = await hydrated_by_key(connection, keys)
    return [found[key].id for key in keys]


@pytest.mark.parametrize("context_chars", [0, 10, 2500, 10**6])
async def test_text_around_a_chunk_is_cut_to_the_document(tmp_path: Path, context_chars: int) -> None:
    """So many characters before and after it, across the pieces that the text is stored in."""
    async with open_store(tmp_path / "a.db") as database:
        chunk_ids = await store(database)

        for ordinal, chunk_id in enumerate(chunk_ids):
            async with database.read() as connection:
                found = await read_around(connection, LOCAL_OWNER, chunk_id, context_chars)
            start = max(0, ordinal * CHUNK_CHARS - context_chars)
            end = min(len(TEXT), (ordinal + 1) * CHUNK_CHARS + context_chars)
            assert found is not None
            assert (found.span, found.text) == (Span(start, end), TEXT[start:end])
            assert found.page == (1 if start < 5000 else 2)
            assert found.section == (("A",) if start >= 1000 else ())


async def test_a_passage_is_one_snapshot(tmp_path: Path) -> None:
    """One statement reads it whole: a replacement comes before or after, never in between."""
    async with open_store(tmp_path / "a.db") as database:
        chunk_ids = await store(database)

        async with database.read() as connection:
            with statements(database) as sent:
                await read_passage(connection, LOCAL_OWNER, DocumentId("book"), Span(0, len(TEXT)))
                await read_around(connection, LOCAL_OWNER, chunk_ids[0], 500)

        assert len(sent) == 2


@pytest.mark.parametrize("span", [Span(10**30, 10**30 + 5), Span(0, 10**30)])
async def test_a_span_beyond_every_number_is_cut(tmp_path: Path, span: Span) -> None:
    """What no column could hold is the end of the text."""
    async with open_store(tmp_path / "a.db") as database:
        await store(database)

        async with database.read() as connection:
            found = await read_passage(connection, LOCAL_OWNER, DocumentId("book"), span)

    assert found is not None
    assert found.span.end == len(TEXT)
    assert found.text == found.span.of(TEXT)
