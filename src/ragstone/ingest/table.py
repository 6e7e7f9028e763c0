"""Tables as Markdown: writing them, finding them in a text (pure)."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from ragstone.types import Span

_RULE = re.compile(r"^[ \t:|-]+$", re.MULTILINE)
_RULE_CELL = re.compile(r":?-+:?")
_BAR = re.compile(r"(?<!\\)\|")
CELL_SEPARATOR = " | "
MAX_HEADER_CHARS = 300


@dataclass(frozen=True, slots=True)
class TableSpan:
    """Where a table lies, where its first row below the header begins, and the header's cells."""

    span: Span
    body_start: int
    header: str


class Tables:
    """The tables of one text, by place."""

    def __init__(self, text: str, shorten: Callable[[str], str] = str) -> None:
        """Args: `shorten` may cut a header down."""
        self._text = text
        self._tables = [
            replace(table, header=shorten(table.header)) if table.header else table for table in _tables(text)
        ]
        self._ends = [table.span.end for table in self._tables]

    def around(self, offset: int) -> TableSpan | None:
        """The table that `offset` lies inside of: after its first character and before its end."""
        index = bisect_left(self._ends, offset + 1)
        if index < len(self._tables) and self._tables[index].span.start < offset:
            return self._tables[index]
        return None

    def headers(self, span: Span) -> list[str]:
        """The headers of the tables that lie in `span`, or partly."""
        first = bisect_left(self._ends, span.start + 1)
        last = bisect_left([table.span.start for table in self._tables], span.end)
        return list(dict.fromkeys(table.header for table in self._tables[first:last]))

    def row_end(self, table: TableSpan, start: int, limit: int) -> int | None:
        """The last end of a row of `table` in `(start, limit]`; its header alone is no row."""
        row = self._text.rfind("\n", max(table.body_start, start), limit) + 1
        return row if row > max(start, table.body_start) else None


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose first row is the header.

    Short rows stay short: filling them to the widest would let a small file grow without bound.
    """
    header, *body = [_row(row) for row in rows]
    return "\n".join([header, "|" + " --- |" * len(rows[0]), *body]) + "\n"


def header_of(line: str) -> str:
    """The cells of a table's row that hold something, as one line of at most 300 characters."""
    cells = [" ".join(cell.split()) for cell in _BAR.split(line)]
    return CELL_SEPARATOR.join(cell for cell in cells if cell)[:MAX_HEADER_CHARS]


def cell_end(text: str, start: int, limit: int) -> int | None:
    """Behind the last bar between two cells in the second half of `(start, limit]`."""
    bar = text.rfind("|", start + (limit - start) // 2, limit)
    return bar + 1 if bar > start else None


def _row(row: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


def _tables(text: str) -> Iterator[TableSpan]:
    """Header, rule, rows, as GitHub's Markdown has them; rows go on while lines hold a bar."""
    done = 0
    for rule in _RULE.finditer(text):
        if rule.start() <= done or not _is_rule(rule[0]):
            continue
        start = text.rfind("\n", 0, rule.start() - 1) + 1
        line = text[start : rule.start() - 1]
        if start < done or "|" not in line:
            continue
        body_start = min(rule.end() + 1, len(text))
        done = _rows_end(text, body_start)
        yield TableSpan(Span(start, done), body_start, header_of(line))


def _is_rule(line: str) -> bool:
    cells = line.strip().strip("|").split("|")
    return "|" in line and all(_RULE_CELL.fullmatch(cell.strip()) for cell in cells)


def _rows_end(text: str, start: int) -> int:
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        if text.find("|", start, end) < 0:
            return start
        start = min(end + 1, len(text))
    return start
