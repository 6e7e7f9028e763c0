"""Text formats, parsed in this process: nothing is executed, expanded or fetched, only decoded.

Every step takes time in proportion to the text, whatever it holds; see docs/formats.md for the figures.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePath

from anyio import to_thread

from ragstone.deadline import Deadline
from ragstone.errors import EmptyDocument
from ragstone.ingest.normalise import decode, normalise
from ragstone.ingest.sections import (
    markdown_headings,
    markdown_title,
    rst_headings,
    sections_of,
)
from ragstone.ingest.sniff import FileFormat, sniff
from ragstone.ingest.syntax import Outline, outline
from ragstone.ingest.table import markdown_table
from ragstone.types import ParsedDocument, RawFile

_XML_ENCODING = re.compile(rb"""^\s*<\?xml[^>]{0,200}?encoding=["']([\w.:-]{1,40})["']""")
Outliner = Callable[[str, str | None, str], Outline]
_DELIMITERS = ",;\t|"
_SNIFFED_CHARS = 16_384
_SNIFFED_LINES = 20


class TextParser:
    """Plain text, Markdown, reStructuredText, source code, CSV and other text, off the event loop."""

    async def parse(self, file: RawFile, deadline: Deadline) -> ParsedDocument:
        """Parse one file whose format `sniff` gave to a text reader.

        Raises:
            EmptyDocument: the text is blank.
            DeadlineExceeded: no time is left.
        """
        deadline.check("parsing")
        return await to_thread.run_sync(parse_text, file, sniff(file.content, file.name))


def parse_text(file: RawFile, file_format: FileFormat, outline_of: Outliner = outline) -> ParsedDocument:
    """The document in a text file; its text is the file's, normalised, save for CSV (a Markdown table).

    `outline_of` says where source code is cut.

    Raises:
        EmptyDocument: the text is blank.
    """
    found = _XML_ENCODING.match(file.content)
    decoded = decode(file.content, found[1].decode("ascii") if found else None)
    text = normalise(decoded.text)
    if not text.strip():
        raise EmptyDocument(f"{file.name!r} holds only white space.", name=file.name)
    document = ParsedDocument(
        text=text,
        media_type=file_format.media_type,
        title=PurePath(file.name).name or None,
        language=file_format.language,
        metadata={} if decoded.encoding == "utf-8" else {"encoding": decoded.encoding},
        warnings=decoded.warnings,
    )
    return _with_structure(document, file_format, outline_of)


def _with_structure(
    document: ParsedDocument, file_format: FileFormat, outline_of: Outliner
) -> ParsedDocument:
    text = document.text
    match file_format.reader:
        case "markdown":
            sections = sections_of(markdown_headings(text), len(text))
            return replace(document, sections=sections, title=markdown_title(text) or document.title)
        case "rst":
            headings = list(rst_headings(text))
            title = headings[0].text if headings else document.title
            return replace(document, sections=sections_of(headings, len(text)), title=title)
        case "csv":
            return _as_table(document)
        case "code":
            return _as_code(document, outline_of)
        case "text" | "sandbox":
            return document


def _as_code(document: ParsedDocument, outline_of: Outliner) -> ParsedDocument:
    """Classes and functions as sections, statements as places to cut."""
    found = outline_of(document.text, document.language, PurePath(document.title or "").suffix.lower())
    warnings = (*document.warnings, *found.warnings)
    return replace(document, sections=found.sections, breaks=found.breaks, warnings=warnings)


def _as_table(document: ParsedDocument) -> ParsedDocument:
    """Rows as a Markdown table, of which every chunk carries the header."""
    try:
        rows = _rows(document.text)
    except csv.Error as error:
        warning = f"Not read as a table ({error}); kept as plain text."
        return replace(document, warnings=(*document.warnings, warning))
    if not rows or max(map(len, rows)) < 2:
        return document
    return replace(document, text=markdown_table(rows))


def _rows(text: str) -> list[list[str]]:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    return [[" ".join(cell.split()) for cell in row] for row in rows if any(row)]


def _delimiter(text: str) -> str:
    """The one that most of the first lines hold as often as the header does.

    `csv.Sniffer` is not used: its expressions are quadratic on text made for it.
    """
    lines = [line for line in text[:_SNIFFED_CHARS].split("\n")[:_SNIFFED_LINES] if line.strip()]

    def agreement(delimiter: str) -> tuple[int, int]:
        in_header = lines[0].count(delimiter)
        return sum(line.count(delimiter) == in_header > 0 for line in lines), in_header

    return max(_DELIMITERS, key=agreement)
