"""The log page by page, oldest first: for exports, however long the table is."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.store.log_tables import TABLES, query_logs
from ragstone.store.query_log_reads import LogRange, Row
from ragstone.store.tables import collections, documents
from ragstone.store.visibility import is_visible
from ragstone.types import DocumentId, Principal

NAMES_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class DocumentName:
    """What a live document is called."""

    title: str
    source: str | None
    collection: str


def columns_of(table_name: str) -> dict[str, type]:
    """The columns of a table with the Python types of their values; JSON is `object`."""
    table = TABLES[table_name]
    kinds = {"JSON": object}
    return {column.name: kinds.get(str(column.type)) or column.type.python_type for column in table.columns}


def page_of(
    connection: Connection, table_name: str, wanted: LogRange, after: tuple[int, ...] | None, limit: int
) -> tuple[list[Row], tuple[int, ...] | None]:
    """The next rows of a range, and the key to go on after; None at the end."""
    table = TABLES[table_name]
    key = list(table.primary_key.columns)
    statement = select(table).where(*wanted.all_of(table)).order_by(*key).limit(limit)
    if after is not None:
        statement = statement.where(tuple_(*key) > tuple_(*after))
    found = [dict(row) for row in connection.execute(statement).mappings()]
    if len(found) < limit:
        return found, None
    return found, tuple(found[-1][column.name] for column in key)


def known_rows(connection: Connection, ids: Collection[int]) -> int:
    """How many of these requests are logged already."""
    return len(list(connection.execute(select(query_logs.c.id).where(query_logs.c.id.in_(ids)))))


async def document_names(
    connection: AsyncConnection, principal: Principal, ids: Collection[str]
) -> dict[str, DocumentName]:
    """The names of those documents that are live and that the principal may read."""
    found: dict[str, DocumentName] = {}
    wanted = [DocumentId(one) for one in ids]
    for start in range(0, len(wanted), NAMES_AT_ONCE):
        some = wanted[start : start + NAMES_AT_ONCE]
        statement = (
            select(documents.c.id, documents.c.title, documents.c.source, collections.c.name)
            .join(collections, collections.c.id == documents.c.collection_id)
            .where(documents.c.id.in_(some), is_visible(principal))
        )
        for row in await connection.execute(statement):
            found[row.id] = DocumentName(row.title, row.source, row.name)
    return found
