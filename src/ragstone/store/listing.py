"""Documents in any order, page by page, and how many there are of each kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, Select, String, and_, cast, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.store.documents import document_of, document_rows
from ragstone.store.tables import documents
from ragstone.store.visibility import is_visible, matches, value_of
from ragstone.types import CollectionId, Document, Filter, Principal

SortKey = Literal["created_at", "updated_at", "title", "size_bytes", "chunk_count"]
"""What documents are ordered by; ties by the order they came in. Titles without regard to case."""

_COLUMNS: Mapping[SortKey, ColumnElement[str] | ColumnElement[int]] = {
    "created_at": documents.c.key,
    "updated_at": documents.c.updated_at,
    "title": func.lower(documents.c.title),
    "size_bytes": documents.c.size_bytes,
    "chunk_count": documents.c.chunk_count,
}


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page ends: the value that it is ordered by, and the key of the last document."""

    value: str | int
    key: int


@dataclass(frozen=True, slots=True)
class Listing:
    """Which documents, in which order, from where on."""

    collection_id: CollectionId | None = None
    filter: Filter | None = None
    sort: SortKey = "created_at"
    is_descending: bool = False
    after: Position | None = None
    limit: int = 50


async def list_documents(
    connection: AsyncConnection, principal: Principal, listing: Listing
) -> list[tuple[Document, Position]]:
    """Up to `limit` documents that `principal` may see, each with its position."""
    column = _COLUMNS[listing.sort]
    statement = document_rows().add_columns(column.label("sorted_by")).where(is_visible(principal))
    if listing.collection_id is not None:
        statement = statement.where(documents.c.collection_id == listing.collection_id)
    if listing.filter is not None:
        statement = statement.where(matches(listing.filter))
    if listing.after is not None:
        statement = statement.where(_is_after(column, listing.after, is_descending=listing.is_descending))
    ends = (column, documents.c.key)
    statement = statement.order_by(*(end.desc() if listing.is_descending else end.asc() for end in ends))
    rows = (await connection.execute(statement.limit(listing.limit))).mappings()
    return [(document_of(row), Position(row["sorted_by"], row["key"])) for row in rows]


def _is_after(
    column: ColumnElement[str] | ColumnElement[int], position: Position, *, is_descending: bool
) -> ColumnElement[bool]:
    value, key = position.value, position.key
    if is_descending:
        return or_(column < value, and_(column == value, documents.c.key < key))
    return or_(column > value, and_(column == value, documents.c.key > key))


@dataclass(frozen=True, slots=True)
class Count:
    """How much of a collection has one value; None stands for no value, or for the whole."""

    value: str | None
    document_count: int
    chunk_count: int
    size_bytes: int


async def count_by(
    connection: AsyncConnection, principal: Principal, collection_id: CollectionId, key: str, limit: int
) -> list[Count]:
    """The `limit` most frequent values of a metadata key (or `$media_type` and its like), with counts.

    Raises:
        InvalidFilter: nothing can be counted by this key.
    """
    value = cast(value_of(key), String)
    statement = (
        _amounts(principal, collection_id)
        .add_columns(value.label("value"))
        .group_by(value)
        .order_by(func.count().desc(), value)
        .limit(limit)
    )
    rows = (await connection.execute(statement)).all()
    return [Count(row.value, row.documents, row.chunks, row.bytes) for row in rows]


async def count_all(connection: AsyncConnection, principal: Principal, collection_id: CollectionId) -> Count:
    """All of a collection that `principal` may see."""
    row = (await connection.execute(_amounts(principal, collection_id))).one()
    return Count(None, row.documents, row.chunks or 0, row.bytes or 0)


def _amounts(principal: Principal, collection_id: CollectionId) -> Select[int, int, int]:
    return select(
        func.count().label("documents"),
        func.sum(documents.c.chunk_count).label("chunks"),
        func.sum(documents.c.size_bytes).label("bytes"),
    ).where(documents.c.collection_id == collection_id, is_visible(principal))
