"""Figures of stored chunks: how many have how many tokens, and what neighbours share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.store.tables import chunks, documents
from ragstone.store.visibility import is_visible
from ragstone.types import CollectionId, DocumentId, Principal


@dataclass(frozen=True, slots=True)
class ChunkFigures:
    """What statistics are made of."""

    chunks_by_tokens: Mapping[int | None, int]
    """How many chunks have so many tokens; None: stored before tokens were kept."""
    total_chars: int
    shared_chars: int
    """Characters that stand in the chunk before, too."""


async def collection_figures(
    connection: AsyncConnection, principal: Principal, collection_id: CollectionId
) -> ChunkFigures:
    """Of the documents of a collection that `principal` may see."""
    return await _figures(connection, principal, documents.c.collection_id == collection_id)


async def document_figures(
    connection: AsyncConnection, principal: Principal, document_id: DocumentId
) -> ChunkFigures:
    """Of one document; all zero when there is none that `principal` may see."""
    return await _figures(connection, principal, documents.c.id == document_id)


async def _figures(
    connection: AsyncConnection, principal: Principal, chosen: ColumnElement[bool]
) -> ChunkFigures:
    before = func.lag(chunks.c.end).over(partition_by=chunks.c.document_key, order_by=chunks.c.ordinal)
    measured = (
        select(
            chunks.c.token_count,
            (chunks.c.end - chunks.c.start).label("chars"),
            case((before > chunks.c.start, before - chunks.c.start), else_=0).label("shared"),
        )
        .join(documents, documents.c.key == chunks.c.document_key)
        .where(chosen, is_visible(principal))
        .subquery("measured")
    )
    statement = select(
        measured.c.token_count, func.count(), func.sum(measured.c.chars), func.sum(measured.c.shared)
    ).group_by(measured.c.token_count)
    rows = (await connection.execute(statement)).all()
    return ChunkFigures(
        {row[0]: int(row[1]) for row in rows},
        sum(int(row[2]) for row in rows),
        sum(int(row[3]) for row in rows),
    )
