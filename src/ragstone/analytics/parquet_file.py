"""Parquet, written by pyarrow (extra `parquet`), the only place that imports it."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ragstone.errors import NotReady

if TYPE_CHECKING:
    import pyarrow as pa
    from typing_extensions import Buffer

    from ragstone.store.query_log_reads import Row


class _Pieces(io.RawIOBase):
    """A file that is taken away while it is written."""

    def __init__(self) -> None:
        self._written = bytearray()
        self._length = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._length

    def write(self, data: Buffer) -> int:
        piece = bytes(data)
        self._written += piece
        self._length += len(piece)
        return len(piece)

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken


class ParquetRows:
    """A Parquet file, zstd, one row group a page; JSON columns are texts.

    Raises:
        NotReady: pyarrow is not installed.
    """

    def __init__(self, columns: Mapping[str, type]) -> None:
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ImportError as error:
            raise NotReady(
                "Parquet needs pyarrow: pip install 'ragstone[parquet]', or take --format csv or jsonl."
            ) from error
        self._arrow = pa
        self._schema = _schema_of(columns)
        self._pieces = _Pieces()
        self._writer = parquet.ParquetWriter(self._pieces, self._schema, compression="zstd")

    def begin(self) -> bytes:
        """The mark that a file begins with."""
        return self._pieces.take()

    def rows(self, found: list[Row]) -> bytes:
        """A row group."""
        if found:
            values = {
                name: [_plain(row.get(name), self._schema.field(name).type) for row in found]
                for name in self._schema.names
            }
            self._writer.write_table(self._arrow.table(values, schema=self._schema))
        return self._pieces.take()

    def end(self) -> bytes:
        """The footer."""
        self._writer.close()
        return self._pieces.take()


def _schema_of(columns: Mapping[str, type]) -> pa.Schema:
    import pyarrow as pa

    kinds = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    return pa.schema([(name, kinds.get(kind, pa.string())) for name, kind in columns.items()])


def _plain(value: object, kind: pa.DataType) -> object:
    is_json = isinstance(value, list | dict | tuple)
    return json.dumps(value, ensure_ascii=False) if is_json and str(kind) == "string" else value
