"""Stretches of stored text: a span of a document, or characters around a chunk.

Each is read in one statement, so that text, title, page and section are of one version.
"""

from __future__ import annotations

from typing import TypeVar

from sqlalchemy import ColumnElement, FromClause, ScalarSelect, Select, and_, case, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.store.tables import chunks, documents, sections, text_segments
from ragstone.store.visibility import is_visible
from ragstone.types import DocumentId, Passage, Principal, Span

T = TypeVar("T")

LONGEST_TEXT = 2**31 - 1
"""What the columns of places hold; no text has more characters."""


async def read_passage(
    connection: AsyncConnection, principal: Principal, document_id: DocumentId, span: Span
) -> Passage | None:
    """The characters of `span` (cut to the document's length) with the page and section they begin in."""
    start, end = (literal(min(max(0, place), LONGEST_TEXT)) for place in (span.start, span.end))
    statement = _passage(documents, start, end).where(documents.c.id == document_id)
    return await _read(connection, statement.where(is_visible(principal)))


async def read_around(
    connection: AsyncConnection, principal: Principal, chunk_id: str, context_chars: int
) -> Passage | None:
    """The live chunk with this id and so many characters before and after it, if `principal` may see it."""
    owned = documents.join(chunks, chunks.c.document_key == documents.c.key)
    start, end = chunks.c.start - context_chars, chunks.c.end + context_chars
    statement = _passage(owned, start, end).where(chunks.c.id == chunk_id)
    return await _read(connection, statement.where(is_visible(principal)))


def _passage(
    owned: FromClause, start: ColumnElement[int], end: ColumnElement[int]
) -> Select[tuple[object, ...]]:
    """Documents with the pieces of text between two places, a row for each."""
    begin, until = (_within_text(place) for place in (start, end))
    overlaps = and_(
        text_segments.c.document_key == documents.c.key,
        text_segments.c.start < until,
        text_segments.c.end > begin,
    )
    return (
        select(
            documents.c.id,
            documents.c.title,
            documents.c.char_count,
            begin.label("begin"),
            until.label("until"),
            _section_at("page", sections.c.page, begin).label("page"),
            _section_at("section", sections.c.path, begin).label("path"),
            text_segments.c.start.label("segment_start"),
            text_segments.c.text.label("piece"),
        )
        .select_from(owned)
        .outerjoin(text_segments, overlaps)
        .order_by(text_segments.c.start)
    )


def _within_text(place: ColumnElement[int]) -> ColumnElement[int]:
    return case((place < 0, 0), (place > documents.c.char_count, documents.c.char_count), else_=place)


def _section_at(kind: str, column: ColumnElement[T], offset: ColumnElement[int]) -> ScalarSelect[T]:
    """A column of the page or section that holds a place; NULL where none does."""
    return (
        select(column)
        .where(
            sections.c.document_key == documents.c.key,
            sections.c.kind == kind,
            sections.c.start <= offset,
            sections.c.end > offset,
        )
        .order_by(sections.c.start.desc())
        .limit(1)
        .correlate_except(sections)
        .scalar_subquery()
    )


async def _read(connection: AsyncConnection, statement: Select[tuple[object, ...]]) -> Passage | None:
    rows = (await connection.execute(statement)).all()
    if not rows:
        return None
    first = rows[0]
    joined = "".join(row.piece or "" for row in rows)
    before = first.segment_start or 0
    return Passage(
        DocumentId(first.id),
        first.title,
        joined[first.begin - before : first.until - before],
        Span(first.begin, first.until),
        first.page,
        tuple(first.path or ()),
        first.char_count,
    )
