"""Where a text may be cut, and which place is best: prose, tables, source code (pure)."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from typing import Protocol

from ragstone.ingest.table import Tables, cell_end
from ragstone.types import Break

SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]*_]{0,3}\s|[。！？．]")
_ROW_OR_ITEM = re.compile(r"\s*(?:\||[-*+] |\d{1,3}[.)] )|\s{4}|\t")
_LINE_START = re.compile(r"^[ \t]*(?=\S)", re.MULTILINE)
_CLOSES = re.compile(r"[)\]}]|(?:end|else|elif|elsif|except|finally|catch|fi|done|esac)\b")
_JOINERS = "\u200d\ufe0e\ufe0f"
_TAB = 4
_MIN_FILL = 0.5
"""A paragraph, line or sentence end counts only in the second half of what would fit."""


class Seams(Protocol):
    """The places of one text where it may be cut."""

    def best(self, start: int, limit: int) -> int:
        """The best end in `(start, limit]` of a piece that begins at `start`."""
        ...

    def first_start(self, earliest: int, end: int) -> int:
        """The first place in `[earliest, end)` where a piece may begin; `end` when there is none."""
        ...


class ProseSeams:
    """Paragraph, then line or sentence, then word, then character; whole rows in tables.

    A table's row is cut only where it alone is over the limit, then between cells.
    """

    def __init__(self, text: str, tables: Tables) -> None:
        self._text = text
        self._tables = tables

    def best(self, start: int, limit: int) -> int:
        """See `Seams`."""
        inside = self._tables.around(limit)
        cut = limit if inside else _boundary(self._text, start, limit)
        return self._outside_rows(start, cut)

    def first_start(self, earliest: int, end: int) -> int:
        """The first word's start; in a table the first row's."""
        position = _first_word(self._text, earliest, end)
        table = self._tables.around(position)
        if table is None:
            return position
        row = self._text.find("\n", max(position - 1, table.body_start - 1), end) + 1
        return row if 0 < row < end else end

    def _outside_rows(self, start: int, cut: int) -> int:
        table = self._tables.around(cut)
        if table is None:
            return cut
        if table.span.start > start + (cut - start) * _MIN_FILL:
            return table.span.start
        row = self._tables.row_end(table, start, cut)
        if row is not None:
            return row
        if table.span.start > start:
            return table.span.start
        if start < table.body_start < cut:  # a header over the limit was cut before
            return table.body_start
        return cell_end(self._text, start, cut) or _word_end(self._text, start, cut)


class LineSeams:
    """Ends of lines, as in a log or a table; a line is cut only where it alone is over the limit."""

    def __init__(self, text: str, tables: Tables) -> None:
        self._text = text
        self._prose = ProseSeams(text, tables)
        self._tables = tables

    def best(self, start: int, limit: int) -> int:
        """See `Seams`."""
        if self._tables.around(limit):
            return self._prose.best(start, limit)
        line = self._text.rfind("\n", start, limit) + 1
        return line if line > start else self._prose.best(start, limit)

    def first_start(self, earliest: int, end: int) -> int:
        """The first line's start."""
        return _first_line(self._text, earliest, end)


class CodeSeams:
    """Before statements and members: of those in the second half the least nested one, then a line's end."""

    def __init__(self, text: str, breaks: Sequence[Break]) -> None:
        self._text = text
        self._breaks = breaks
        self._offsets = [found.offset for found in breaks]

    def best(self, start: int, limit: int) -> int:
        """See `Seams`."""
        for least in (start + int((limit - start) * _MIN_FILL), start):
            found = self._breaks[bisect_right(self._offsets, least) : bisect_right(self._offsets, limit)]
            if found:
                return min(found, key=lambda each: (each.depth, -each.offset)).offset
        line = self._text.rfind("\n", start, limit) + 1
        return line if line > start else _word_end(self._text, start, limit)

    def first_start(self, earliest: int, end: int) -> int:
        """The first line's start."""
        return _first_line(self._text, earliest, end)


def indentation_breaks(text: str) -> list[Break]:
    """Before each line that opens something, by its indentation; better after a blank line.

    For source code in a language without a grammar: the layout says what the syntax would.
    """
    found: list[Break] = []
    end = 0
    for match in _LINE_START.finditer(text):
        offset = match.start()
        if not _CLOSES.match(text, match.end()):
            columns = sum(_TAB if character == "\t" else 1 for character in match[0])
            is_after_blank = not text[end:offset].strip() and text.count("\n", end, offset) > 1
            found.append(Break(offset, 2 * columns + (not is_after_blank)))
        end = text.find("\n", match.end())
        end = len(text) if end < 0 else end
    return found


def _boundary(text: str, start: int, limit: int) -> int:
    least = start + int((limit - start) * _MIN_FILL)
    paragraph = text.rfind("\n\n", least, limit)
    if paragraph >= 0:
        return paragraph + 2
    line_start = text.rfind("\n", start, limit) + 1
    line = line_start if line_start > least else 0
    if line and _ROW_OR_ITEM.match(text, line, line + 8):
        return line
    sentences = [match.end() for match in SENTENCE_END.finditer(text, least, limit)]
    return sentences[-1] if sentences else line or _word_end(text, start, limit)


def _word_end(text: str, start: int, limit: int) -> int:
    if limit < len(text) and text[limit].isspace():
        return limit
    for position in range(limit, start + (limit - start) // 4, -1):
        if text[position - 1].isspace():
            return position
    return _character_end(text, start, limit)


def _character_end(text: str, start: int, limit: int) -> int:
    """Not between a letter and its marks, nor inside a joined emoji."""
    position = limit
    while start + 1 < position < len(text) and _is_joined(text[position - 1], text[position]):
        position -= 1
    return position if position > start + 1 else limit


def _is_joined(before: str, after: str) -> bool:
    return after in _JOINERS or before == "\u200d" or unicodedata.category(after).startswith("M")


def _first_word(text: str, earliest: int, end: int) -> int:
    for position in range(earliest, end):
        if text[position - 1].isspace() and not text[position].isspace():
            return position
    return end


def _first_line(text: str, earliest: int, end: int) -> int:
    line = text.find("\n", earliest - 1, end) + 1
    return line if 0 < line < end else end
