"""Tables of the log as CSV, JSON lines or Parquet, a piece at a time."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, Protocol, cast

from anyio import to_thread

from ragstone.analytics.parquet_file import ParquetRows
from ragstone.store.log_pages import DocumentName, columns_of, document_names, page_of

if TYPE_CHECKING:
    from ragstone.store.database import Database
    from ragstone.store.log_file import LogFile
    from ragstone.store.query_log_reads import LogRange, Row
    from ragstone.types import Principal

ExportTable = Literal["query_logs", "document_accesses", "error_logs", "system_metrics"]
ExportFormat = Literal["csv", "jsonl", "parquet"]

PAGE_ROWS = 2_000
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so is worked out by a spreadsheet instead of shown."""
NUMBERS = ("id", "query_id", "hits_of")
"""Beyond 2^53: texts outside, as programs read JSON numbers as floating point."""
NAMES: Mapping[str, type] = {"file_name": str, "title": str, "collection": str}
"""Columns of accesses that are read from the live documents."""


class Encoder(Protocol):
    """Turns rows into the bytes of a file."""

    def begin(self) -> bytes:
        """What stands before the first row."""
        ...

    def rows(self, found: list[Row]) -> bytes:
        """The next rows."""
        ...

    def end(self) -> bytes:
        """What stands after the last row."""
        ...


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """Which rows to export, and how."""

    table: ExportTable
    format: ExportFormat
    range: LogRange
    principal: Principal


async def export_rows(file: LogFile, database: Database, asked: ExportRequest) -> AsyncGenerator[bytes, None]:
    """The bytes of the export, oldest row first. Close the generator to stop; memory holds one page.

    Raises:
        NotReady: Parquet without the extra that writes it.
        StoreFailed: the log does not answer.
    """
    encoder = encoder_of(asked)
    yield await to_thread.run_sync(encoder.begin)
    after: tuple[int, ...] | None = None
    while True:
        found, after = await _page(file, asked, after)
        names = await _names(database, asked, found)
        yield await to_thread.run_sync(_encoded, encoder, found, names)
        if after is None:
            break
    yield await to_thread.run_sync(encoder.end)


async def _page(
    file: LogFile, asked: ExportRequest, after: tuple[int, ...] | None
) -> tuple[list[Row], tuple[int, ...] | None]:
    return await file.read(lambda connection: page_of(connection, asked.table, asked.range, after, PAGE_ROWS))


def _encoded(encoder: Encoder, found: list[Row], names: Mapping[str, DocumentName] | None) -> bytes:
    return encoder.rows([_shown(row, names) for row in found])


def encoder_of(asked: ExportRequest) -> Encoder:
    """Of the format.

    Raises:
        NotReady: Parquet without the extra that writes it.
    """
    columns = export_columns(asked.table)
    if asked.format == "csv":
        return CsvRows(columns)
    return JsonLines() if asked.format == "jsonl" else ParquetRows(columns)


def export_columns(table: ExportTable) -> dict[str, type]:
    """Names and types of what is exported: `time` before the table's own columns."""
    own = {name: str if name in NUMBERS else kind for name, kind in columns_of(table).items()}
    return {"time": str, **own, **(NAMES if table == "document_accesses" else {})}


async def _names(
    database: Database, asked: ExportRequest, found: list[Row]
) -> dict[str, DocumentName] | None:
    if asked.table != "document_accesses":
        return None
    ids = {str(row["document_id"]) for row in found}
    async with database.read() as connection:
        return await document_names(connection, asked.principal, ids)


def _shown(row: Row, names: Mapping[str, DocumentName] | None) -> Row:
    """A row as it leaves: its time readable, its numbers exact, its document named while it is live."""
    at = datetime.fromtimestamp(cast("int", row["at_ms"]) / 1000, UTC).isoformat(timespec="milliseconds")
    shown: Row = {"time": at, **row}
    for name in NUMBERS:
        if shown.get(name) is not None:
            shown[name] = str(shown[name])
    if names is not None:
        named = names.get(str(row["document_id"]))
        shown["file_name"] = None if named is None else named.source
        shown["title"] = None if named is None else named.title
        shown["collection"] = None if named is None else named.collection
    return shown


class CsvRows:
    """Comma-separated values with a header; what a spreadsheet would work out is quoted by an apostrophe."""

    def __init__(self, columns: Mapping[str, type]) -> None:
        self._columns = list(columns)

    def begin(self) -> bytes:
        """The header."""
        return self._written([self._columns])

    def rows(self, found: list[Row]) -> bytes:
        """Lines."""
        return self._written([[_cell(row.get(name)) for name in self._columns] for row in found])

    def end(self) -> bytes:
        """Nothing."""
        return b""

    def _written(self, lines: list[list[str]]) -> bytes:
        text = io.StringIO()
        csv.writer(text, lineterminator="\r\n").writerows(lines)
        return text.getvalue().encode()


class JsonLines:
    """One JSON object a line."""

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def rows(self, found: list[Row]) -> bytes:
        """Lines."""
        return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in found)

    def end(self) -> bytes:
        """Nothing."""
        return b""


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA) else value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else json.dumps(value, ensure_ascii=False)
