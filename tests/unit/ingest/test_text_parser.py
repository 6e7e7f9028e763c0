"""Text formats keep their words and gain structure."""

from __future__ import annotations

import pytest

from ragstone.deadline import Deadline
from ragstone.errors import EmptyDocument
from ragstone.ingest.chunk import chunk
from ragstone.ingest.text_parser import TextParser
from ragstone.models.fakes import WordCounter
from ragstone.types import ChunkingSpec, ParsedDocument, RawFile


async def _parse(content: str | bytes, name: str) -> ParsedDocument:
    raw = content.encode() if isinstance(content, str) else content
    return await TextParser().parse(RawFile(raw, name), Deadline.after(30))


@pytest.mark.anyio
async def test_markdown_is_kept_verbatim() -> None:
    """Only line ends and Unicode form change."""
    text = "# Pond\n\nSome *ducks*.\n\n```py\n# no heading\n```\n"
    parsed = await _parse(text.replace("\n", "\r\n"), "pond.md")

    assert parsed.text == text
    assert parsed.title == "Pond"
    assert [section.path for section in parsed.sections] == [("Pond",)]


@pytest.mark.anyio
async def test_csv_becomes_a_table_whose_header_every_chunk_carries() -> None:
    """Chunks that begin below the header have it in their path; bars and line breaks in cells do no harm."""
    parsed = await _parse('name;note\nAnn;"a|b\nc"\nBob;\n', "people.csv")

    assert parsed.text == "| name | note |\n| --- | --- |\n| Ann | a\\|b c |\n| Bob |  |\n"
    drafts = chunk(parsed, ChunkingSpec(6), WordCounter())
    assert [draft.span.of(parsed.text).splitlines()[-1] for draft in drafts] == [
        "| Ann | a\\|b c |",
        "| Bob |  |",
    ]
    assert [draft.heading_path for draft in drafts] == [(), ("name | note",)]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("row", "expected"), [("a,b", "| a | b |"), ("a\tb", "| a | b |"), ("a|b", "| a | b |")]
)
async def test_the_delimiter_is_told_from_the_rows(row: str, expected: str) -> None:
    """Comma, semicolon, tab or bar."""
    parsed = await _parse(f"{row}\n1{row[1]}2\n", "x.csv")

    assert parsed.text.startswith(expected)


@pytest.mark.anyio
async def test_a_ragged_csv_does_not_grow() -> None:
    """One wide row must not widen all the others."""
    content = "," * 20_000 + "\n" + "a,b\n" * 20_000
    parsed = await _parse(content, "ragged.csv")

    assert len(parsed.text) < 20 * len(content)


@pytest.mark.anyio
async def test_xml_is_text_in_its_declared_encoding_and_expands_nothing() -> None:
    """Entities stay as written: no file is read, nothing multiplies."""
    attack = '<?xml version="1.0" encoding="iso-8859-1"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>ä&x;</a>'
    parsed = await _parse(attack.encode("latin-1"), "attack.xml")

    assert parsed.text == attack


@pytest.mark.anyio
async def test_code_has_a_language_and_blank_text_is_refused() -> None:
    """A module is a document; white space is none."""
    assert (await _parse("def f():\n    return 1\n", "f.py")).language == "python"
    with pytest.raises(EmptyDocument, match="white space"):
        await _parse(" \n\t\n", "blank.txt")
