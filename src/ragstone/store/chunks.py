"""Chunks and vectors as rows of their document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import RowMapping, bindparam, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from uuid6 import uuid7

from ragstone.store.database import CORPUS_ROW
from ragstone.store.tables import chunks, corpus, documents, vectors
from ragstone.types import ChunkDraft, DocumentKey, Span

INSERTED_AT_ONCE = 500
"""Rows built and sent together; more would hold up the event loop."""


@dataclass(frozen=True, slots=True)
class NewChunk:
    """A chunk to store with its vector (float32 little-endian, unit length)."""

    draft: ChunkDraft
    embedded_sha256: bytes
    """Hash of what was embedded (heading line and body): equal hash, equal vector."""
    embedding: bytes


async def keep_chunks(connection: AsyncConnection, key: DocumentKey, new: Sequence[NewChunk]) -> set[int]:
    """Move the rows of unchanged chunks to their new places and drop the others; the ordinals kept."""
    statement = select(chunks).where(chunks.c.document_key == key).order_by(chunks.c.ordinal.desc())
    there: dict[tuple[object, ...], list[RowMapping]] = {}
    for row in (await connection.execute(statement)).mappings():
        length = row["end"] - row["start"]
        identity = (bytes(row["embedded_sha256"]), length, tuple(row["heading_path"]))
        there.setdefault(identity, []).append(row)
    kept: set[int] = set()
    moved: list[dict[str, object]] = []
    for ordinal, chunk in enumerate(new):
        rows = there.get((chunk.embedded_sha256, chunk.draft.span.length, chunk.draft.heading_path))
        if not rows:
            continue
        row = rows.pop()
        kept.add(ordinal)
        place = _place_of(ordinal, chunk)
        if any(row[name] != value for name, value in place.items()):
            moved.append({"of": row["key"], **place})
    await _drop_chunks(connection, [row["key"] for rows in there.values() for row in rows])
    if moved:
        await connection.execute(_MOVE_CHUNK, moved)
    return kept


async def _drop_chunks(connection: AsyncConnection, keys: Sequence[int]) -> None:
    for at in range(0, len(keys), INSERTED_AT_ONCE):
        await connection.execute(delete(chunks).where(chunks.c.key.in_(keys[at : at + INSERTED_AT_ONCE])))


_MOVE_CHUNK = (
    update(chunks)
    .where(chunks.c.key == bindparam("of"))
    .values({name: bindparam(name) for name in ("ordinal", "start", "end", "page")})
)


async def insert_chunks(
    connection: AsyncConnection, key: DocumentKey, new: Sequence[tuple[int, NewChunk]]
) -> None:
    """Chunks with their ordinals."""
    if not new:
        return
    first = await _take_chunk_keys(connection, len(new))
    for start in range(0, len(new), INSERTED_AT_ONCE):
        part = list(enumerate(new[start : start + INSERTED_AT_ONCE], start=first + start))
        await connection.execute(
            insert(chunks),
            [_chunk_row(chunk_key, key, ordinal, chunk) for chunk_key, (ordinal, chunk) in part],
        )
        await connection.execute(
            insert(vectors),
            [{"chunk_key": chunk_key, "embedding": chunk.embedding} for chunk_key, (_, chunk) in part],
        )


def _chunk_row(key: int, document_key: DocumentKey, ordinal: int, chunk: NewChunk) -> dict[str, object]:
    return {
        "key": key,
        "id": str(uuid7()),
        "document_key": document_key,
        **_place_of(ordinal, chunk),
        "heading_path": list(chunk.draft.heading_path),
        "token_count": chunk.draft.token_count,
        "embedded_sha256": chunk.embedded_sha256,
    }


def _place_of(ordinal: int, chunk: NewChunk) -> dict[str, object]:
    draft = chunk.draft
    return {"ordinal": ordinal, "start": draft.span.start, "end": draft.span.end, "page": draft.page}


async def _take_chunk_keys(connection: AsyncConnection, count: int) -> int:
    raised = (
        update(corpus).where(corpus.c.id == CORPUS_ROW).values(last_chunk_key=corpus.c.last_chunk_key + count)
    )
    last = (await connection.execute(raised.returning(corpus.c.last_chunk_key))).scalar_one()
    return int(last) - count + 1


async def vectors_by_hash(connection: AsyncConnection, key: DocumentKey) -> Mapping[bytes, bytes]:
    """The present vectors of a document and its attachments by the hash of what was embedded.

    With them an edit embeds only what changed.
    """
    statement = (
        select(chunks.c.embedded_sha256, vectors.c.embedding)
        .join(vectors, vectors.c.chunk_key == chunks.c.key)
        .join(documents, documents.c.key == chunks.c.document_key)
        .where(or_(documents.c.key == key, documents.c.parent_key == key))
    )
    return {bytes(row[0]): bytes(row[1]) for row in (await connection.execute(statement)).all()}


async def chunk_spans(connection: AsyncConnection, key: DocumentKey) -> list[Span]:
    """Where a document's chunks lie in its stored text, in order."""
    statement = select(chunks.c.start, chunks.c.end).where(chunks.c.document_key == key)
    rows = (await connection.execute(statement.order_by(chunks.c.ordinal))).all()
    return [Span(row[0], row[1]) for row in rows]
