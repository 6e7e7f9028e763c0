"""What stands around chunks: their neighbours or the sections they touch, read in one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, Select, Subquery, and_, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.store.tables import chunks, documents, sections, text_segments
from ragstone.store.visibility import is_visible
from ragstone.types import ChunkKey, Expansion, Principal, Span, Surroundings

MOST_CHARS_AROUND = 8_000
"""Read before a chunk, and after it: a section may be a book."""


async def surroundings(
    connection: AsyncConnection, principal: Principal, keys: Sequence[ChunkKey], expansion: Expansion
) -> Mapping[ChunkKey, Surroundings]:
    """The stretch around each of the chunks, which it holds; keys not live or not visible are left out.

    A key is never used twice, so a text is of the very version that the chunk belongs to.
    """
    if not keys:
        return {}
    bounds = _bounds(expansion, keys, is_visible(principal)).subquery("bounds")
    rows = (await connection.execute(_texts(bounds))).all()
    pieces: dict[ChunkKey, list[tuple[int, int, str]]] = {}
    for row in rows:
        pieces.setdefault(ChunkKey(row.key), []).append((row.begin, row.until, row.piece))
    return {key: _joined(found) for key, found in pieces.items()}


def _bounds(
    expansion: Expansion, keys: Sequence[ChunkKey], visible: ColumnElement[bool]
) -> Select[tuple[object, ...]]:
    """One row a chunk: its document and the first and last character around it."""
    if expansion.is_section:
        around = sections.alias("around")
        is_around = and_(
            around.c.document_key == chunks.c.document_key,
            around.c.kind == "section",
            around.c.start < chunks.c.end,
            around.c.end > chunks.c.start,
        )
    else:
        around = chunks.alias("around")
        is_around = and_(
            around.c.document_key == chunks.c.document_key,
            around.c.ordinal >= chunks.c.ordinal - expansion.neighbours,
            around.c.ordinal <= chunks.c.ordinal + expansion.neighbours,
        )
    first = func.coalesce(func.min(around.c.start), chunks.c.start)
    last = func.coalesce(func.max(around.c.end), chunks.c.end)
    return (
        select(
            chunks.c.key,
            chunks.c.document_key,
            _clamped(first, chunks.c.start - MOST_CHARS_AROUND, chunks.c.start).label("start"),
            _clamped(last, chunks.c.end, chunks.c.end + MOST_CHARS_AROUND).label("end"),
        )
        .select_from(chunks)
        .join(documents, documents.c.key == chunks.c.document_key)
        .outerjoin(around, is_around)
        .where(chunks.c.key.in_(keys), visible)
        .group_by(chunks.c.key, chunks.c.document_key, chunks.c.start, chunks.c.end)
    )


def _texts(bounds: Subquery) -> Select[tuple[object, ...]]:
    start, end = bounds.c.start, bounds.c.end
    begin = _clamped(text_segments.c.start, start, end)
    until = _clamped(text_segments.c.end, start, end)
    return (
        select(
            bounds.c.key,
            begin.label("begin"),
            until.label("until"),
            func.substr(text_segments.c.text, begin - text_segments.c.start + 1, until - begin).label(
                "piece"
            ),
        )
        .select_from(bounds)
        .join(
            text_segments,
            and_(
                text_segments.c.document_key == bounds.c.document_key,
                text_segments.c.start < end,
                text_segments.c.end > start,
            ),
        )
    )


def _clamped(
    value: ColumnElement[int], least: ColumnElement[int], most: ColumnElement[int]
) -> ColumnElement[int]:
    return case((value < least, least), (value > most, most), else_=value)


def _joined(pieces: Sequence[tuple[int, int, str]]) -> Surroundings:
    ordered = sorted(pieces)
    return Surroundings(Span(ordered[0][0], ordered[-1][1]), "".join(text for _, _, text in ordered))
