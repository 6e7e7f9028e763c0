"""What a caller may send that no row can hold: refused by name, never an internal error."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from ragstone import AsyncRagstone
from ragstone.errors import DocumentNotFound, InvalidRequest
from ragstone.types import DocumentId, Span

pytestmark = pytest.mark.anyio
HALF = "half \ud800 a character"


async def test_text_that_is_not_unicode_is_refused_where_it_is_stored(home: Path) -> None:
    """In a title, a source and an id; the document beside it gets in."""
    async with AsyncRagstone(home) as rag:
        for call in (
            partial(rag.add_text, "One.", title=HALF),
            partial(rag.add_text, "Two.", source=HALF),
            partial(rag.remove, HALF),
            partial(rag.read, HALF),
        ):
            with pytest.raises(InvalidRequest, match="not Unicode"):
                await call()

        await rag.add_text("Three.", title="漢")
        assert [document.title for document in await rag.documents()] == ["漢"]


@pytest.mark.parametrize("cursor", ["banana", "", "-1", "²", "9" * 30, "9" * 5000])
async def test_a_cursor_that_no_page_gave_is_refused(home: Path, cursor: str) -> None:
    """Whatever it is."""
    async with AsyncRagstone(home) as rag:
        with pytest.raises(InvalidRequest, match="is not a cursor"):
            await rag.engine.documents.list(cursor=cursor)


@pytest.mark.parametrize("limit", [0, -1, 201])
async def test_a_page_has_between_1_and_200_documents(home: Path, limit: int) -> None:
    """More would hold the server up."""
    async with AsyncRagstone(home) as rag:
        with pytest.raises(InvalidRequest, match=f"limit is {limit}"):
            await rag.engine.documents.list(limit=limit)


async def test_spans_are_checked_and_cut(home: Path) -> None:
    """Backwards, negative and too long ones are refused; one beyond the end is cut to nothing."""
    async with AsyncRagstone(home) as rag:
        written = await rag.add_text("Herons wait.")
        documents, document_id = rag.engine.documents, written.document_id

        for span in (Span(5, 2), Span(-1, 3), Span(0, 10**6)):
            with pytest.raises(InvalidRequest):
                await documents.read(document_id, span)
        assert (await documents.read(document_id, Span(10**30, 10**30 + 5))).text == ""
        assert (await documents.read(document_id, Span(0, 6))).text == "Herons"
        with pytest.raises(DocumentNotFound):
            await documents.read(DocumentId("nope"))
