"""What stands around a chunk is one stretch of the stored text that holds the chunk."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.corpus import collection_named, document, open_store, store_collection

from ragstone.store.chunk_figures import document_figures
from ragstone.store.documents import SEGMENT_CHARS, put_document
from ragstone.store.passages import chunk_keys
from ragstone.store.surroundings import MOST_CHARS_AROUND, surroundings
from ragstone.types import LOCAL_OWNER, ChunkKey, DocumentId, Expansion, SectionSpan, Span, Surroundings

pytestmark = pytest.mark.anyio
CHUNK_CHARS = 40
TEXT = "".join(f"{number:07d} " for number in range(5 * SEGMENT_CHARS // 8))


async def read(
    path: Path, expansion: Expansion, sections: tuple[SectionSpan, ...] = ()
) -> list[Surroundings]:
    """What stands around each chunk of `TEXT`, in order."""
    async with open_store(path) as database:
        async with database.write() as connection:
            collection = await store_collection(connection, collection_named("books"))
            new = document(TEXT, document_id="book", sections=sections, chunk_chars=CHUNK_CHARS)
            await put_document(connection, collection.id, new, None)
        async with database.read() as connection:
            keys = [ChunkKey(key) for key in sorted(await chunk_keys(connection, collection.id))]
            found = await surroundings(connection, LOCAL_OWNER, keys, expansion)
            figures = await document_figures(connection, LOCAL_OWNER, DocumentId("book"))
    assert (figures.total_chars, figures.shared_chars) == (len(TEXT), 0)
    return [found[key] for key in keys]


@pytest.mark.parametrize("neighbours", [0, 1, 10])
async def test_neighbours_are_whole_chunks(tmp_path: Path, neighbours: int) -> None:
    """Across the pieces that the text is stored in, and cut off at the ends of the document."""
    found = await read(tmp_path / "a.db", Expansion(neighbours=neighbours))

    for ordinal, around in enumerate(found):
        start = max(0, ordinal - neighbours) * CHUNK_CHARS
        end = min(len(TEXT), (ordinal + neighbours + 1) * CHUNK_CHARS)
        assert around == Surroundings(Span(start, end), TEXT[start:end])


async def test_sections_are_whole_but_bounded(tmp_path: Path) -> None:
    """Every section that the chunk touches; of one as long as a book what lies near; none, then the chunk."""
    sections = (
        SectionSpan(("A",), Span(100, 150)),
        SectionSpan(("B",), Span(150, 400)),
        SectionSpan(("C",), Span(400, len(TEXT) - 80)),
    )
    found = await read(tmp_path / "a.db", Expansion(is_section=True), sections)

    assert found[0].span == Span(0, 40)
    assert found[3].span == Span(100, 400)  # 120 to 160 lies in A and B
    assert found[9].span == Span(150, 400)
    middle = len(found) // 2
    assert found[middle].span == Span(
        middle * CHUNK_CHARS - MOST_CHARS_AROUND, (middle + 1) * CHUNK_CHARS + MOST_CHARS_AROUND
    )
    assert found[-1].span == Span(len(TEXT) - CHUNK_CHARS, len(TEXT))
    assert all(around.text == around.span.of(TEXT) for around in found)
