"""What every parser behind the port promises, checked on small files made here."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.fixtures.parsing import small_files

from ragstone.deadline import Deadline
from ragstone.errors import (
    BrokenDocument,
    DeadlineExceeded,
    EmptyDocument,
    EncryptedDocument,
    InvalidFileType,
)
from ragstone.ingest.extraction import Engine
from ragstone.ingest.limits import ParsingLimits
from ragstone.ingest.sandbox import SandboxedParser
from ragstone.types import ParsedDocument, RawFile

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["xberg", "fallback"])
async def parser(request: pytest.FixtureRequest) -> AsyncIterator[SandboxedParser]:
    engine: Engine = request.param
    parser = SandboxedParser(ParsingLimits(ocr="off"), engine)
    yield parser
    await parser.aclose()


async def _parse(parser: SandboxedParser, content: bytes, name: str) -> ParsedDocument:
    return await parser.parse(RawFile(content, name), Deadline.after(60))


@pytest.mark.anyio
async def test_a_pdf_keeps_its_pages(parser: SandboxedParser) -> None:
    """Each page's span covers its words; together they cover the text."""
    parsed = await _parse(parser, small_files.pdf("Ducks on page one.", "Geese on page two."), "birds.pdf")

    pages = {page.page: page.span.of(parsed.text) for page in parsed.pages}
    assert "Ducks on page one." in pages[1]
    assert "Geese on page two." in pages[2]
    assert "".join(pages.values()) == parsed.text


@pytest.mark.anyio
async def test_a_word_file_keeps_headings_and_tables(parser: SandboxedParser) -> None:
    """Headings become sections, tables Markdown rows."""
    row = "<w:tr><w:tc>{}</w:tc><w:tc>{}</w:tc></w:tr>"
    paragraph = small_files.paragraph
    table = row.format(paragraph("Year"), paragraph("Ducks")) + row.format(
        paragraph("2024"), paragraph("180")
    )
    body = paragraph("Ponds", "Heading1") + paragraph("Ducks like ponds.") + f"<w:tbl>{table}</w:tbl>"
    parsed = await _parse(parser, small_files.docx(body), "ponds.docx")

    section = next(s for s in parsed.sections if "Ducks like ponds." in s.span.of(parsed.text))
    assert section.path == ("Ponds",)
    assert "| Year | Ducks |" in parsed.text
    assert "| 2024 | 180 |" in parsed.text


@pytest.mark.anyio
async def test_slides_are_pages_with_their_speaker_notes(parser: SandboxedParser) -> None:
    """Notes are part of their slide."""
    parsed = await _parse(
        parser, small_files.pptx([("First slide", "Say hello"), ("Second slide", "")]), "talk.pptx"
    )

    pages = [page.span.of(parsed.text) for page in parsed.pages]
    assert len(pages) == 2
    assert "First slide" in pages[0]
    assert "Say hello" in pages[0]
    assert "Second slide" in pages[1]


@pytest.mark.anyio
async def test_sheets_are_pages_under_their_names(parser: SandboxedParser) -> None:
    """Each sheet is a section of its name and a table."""
    sheets = {"Ponds": [["Year", "Ducks"], ["2024", "180"]], "Lakes": [["Year", "Geese"], ["2025", "12"]]}
    parsed = await _parse(parser, small_files.xlsx(sheets), "birds.xlsx")

    assert [section.path for section in parsed.sections] == [("Ponds",), ("Lakes",)]
    assert "| 2024 | 180 |" in parsed.pages[0].span.of(parsed.text)
    assert "| 2025 | 12 |" in parsed.pages[1].span.of(parsed.text)


@pytest.mark.anyio
async def test_a_web_page_loses_its_boilerplate(parser: SandboxedParser) -> None:
    """Navigation, cookie bars, scripts and footers are gone; title, heading, text and table stay."""
    parsed = await _parse(parser, small_files.HTML, "ponds.html")

    assert parsed.title == "Ducks & ponds"
    assert parsed.sections[0].path == ("Ponds",)
    assert "Ducks like quiet ponds." in parsed.text
    assert "| 2024 | 180" in parsed.text
    for boilerplate in ("About", "cookies", "track", "Copyright"):
        assert boilerplate not in parsed.text


@pytest.mark.anyio
async def test_a_page_built_to_mislead_keeps_its_content_alone(parser: SandboxedParser) -> None:
    """Names on the body, banners by vendors, hidden dialogs: the same for every parser."""
    parsed = await _parse(parser, small_files.FRAMED_HTML, "hours.html")

    for content in (
        "Opening hours",
        "By the librarian",
        "opens at nine",
        "butter",
        "9-17",
        "closed on holidays",
    ):
        assert content in parsed.text
    assert "FRAME" not in parsed.text


@pytest.mark.anyio
async def test_mail_has_its_subject_as_title_and_gives_its_attachment_out(parser: SandboxedParser) -> None:
    """The text is the body's; what was attached comes along as it was put in."""
    parsed = await _parse(parser, small_files.EML, "report.eml")

    assert parsed.title == "Pond report"
    assert "ann@example.com" in str(parsed.metadata["from"])
    assert "The ducks are well." in parsed.text
    assert "One hundred and eighty." not in parsed.text
    assert parsed.enclosed == (RawFile(b"One hundred and eighty.", "count.txt"),)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("content", "name", "error"),
    [
        (b"", "nothing.pdf", EmptyDocument),
        (b"MZ\x90\x00\x03\x00\x00\x00" + bytes(64), "invoice.pdf", InvalidFileType),
        (b"%PDF-1.7\nno more than that", "cut.pdf", BrokenDocument),
        (small_files.docx(small_files.paragraph("whole"))[:300], "cut.docx", BrokenDocument),
        (_OLE + "EncryptedPackage".encode("utf-16-le"), "locked.xlsx", EncryptedDocument),
        (small_files.docx(small_files.paragraph(" ")), "blank.docx", EmptyDocument),
    ],
    ids=["no bytes", "program", "cut pdf", "cut docx", "locked", "blank"],
)
async def test_what_cannot_be_read_is_refused_by_its_reason(
    parser: SandboxedParser, content: bytes, name: str, error: type[Exception]
) -> None:
    """The code of the error tells the caller what to do, the message names the file."""
    with pytest.raises(error, match=name):
        await _parse(parser, content, name)

    again = await _parse(parser, small_files.pdf("Still here."), "next.pdf")
    assert "Still here." in again.text


@pytest.mark.anyio
async def test_nothing_begins_after_the_deadline(parser: SandboxedParser) -> None:
    """A request without time left costs no parsing."""
    with pytest.raises(DeadlineExceeded):
        await parser.parse(RawFile(small_files.pdf("Late."), "late.pdf"), Deadline.after(0))


@pytest.mark.anyio
async def test_the_text_is_normalised(parser: SandboxedParser) -> None:
    """Decomposed letters are composed, so that a search for the usual spelling finds them."""
    parsed = await _parse(parser, "<p>Cafe\u0301</p>".encode(), "cafe.html")

    assert parsed.text == "Caf\u00e9"
