"""Text out of the truth: hydrating candidates, feeding the derived indexes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, case, func, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.store.database import CORPUS_ROW
from ragstone.store.tables import chunks, collections, corpus, documents, text_segments, vectors
from ragstone.store.visibility import Reach, is_visible, is_within, matches, reach, visibility_parameters
from ragstone.types import (
    ChunkKey,
    CollectionId,
    DocumentId,
    DocumentKey,
    Filter,
    Matrix,
    Metadata,
    Principal,
    Span,
)


@dataclass(frozen=True, slots=True)
class HydratedChunk:
    """A live, visible chunk with its text."""

    key: ChunkKey
    id: str
    document_id: DocumentId
    collection: str
    title: str
    source: str | None
    text: str
    span: Span
    page: int | None
    heading_path: tuple[str, ...]
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class Hydrated:
    """Chunks by key and the versions of the very snapshot that they were read in."""

    chunks: Mapping[ChunkKey, HydratedChunk]
    store_version: int
    """Newest change of the whole database."""
    corpus_version: int
    """Newest change of the collections asked for."""


@dataclass(frozen=True, slots=True)
class IndexedChunk:
    """What the lexical index needs of a chunk."""

    key: ChunkKey
    document_key: DocumentKey
    heading: str
    text: str


async def hydrate(
    connection: AsyncConnection,
    principal: Principal,
    collection_ids: Sequence[CollectionId],
    keys: Sequence[ChunkKey],
) -> Hydrated:
    """Read candidates and versions in one statement, so in one snapshot.

    Keys that are not live, not visible to `principal` or not in the collections are left out.
    """
    values = {"ids": list(collection_ids), "keys": list(keys), **visibility_parameters(principal)}
    rows = (await connection.execute(_hydration(reach(principal)), values)).all()
    return Hydrated(_assemble(rows), rows[0].store_version, rows[0].corpus_version)


@cache
def _hydration(shape: Reach) -> Select[tuple[object, ...]]:
    """Built once: making this statement anew took 3 of a search's 5 ms outside the model (November 2026)."""
    versions = (
        select(
            select(corpus.c.version)
            .where(corpus.c.id == CORPUS_ROW)
            .scalar_subquery()
            .label("store_version"),
            func.coalesce(func.max(collections.c.version), 0).label("corpus_version"),
        )
        .where(collections.c.id.in_(bindparam("ids", expanding=True)))
        .subquery("versions")
    )
    found = (
        _chunk_texts()
        .where(
            chunks.c.key.in_(bindparam("keys", expanding=True)),
            documents.c.collection_id.in_(bindparam("ids", expanding=True)),
            is_within(shape),
        )
        .subquery("found")
    )
    return select(versions, found).select_from(versions.outerjoin(found, true()))


async def matching_documents(
    connection: AsyncConnection, principal: Principal, collection_id: CollectionId, filter_: Filter
) -> set[int]:
    """Keys of the visible documents that a filter lets through, to push into both legs."""
    statement = select(documents.c.key).where(
        documents.c.collection_id == collection_id, is_visible(principal), matches(filter_)
    )
    return set((await connection.execute(statement)).scalars())


async def find_chunk(
    connection: AsyncConnection, principal: Principal, chunk_id: str
) -> HydratedChunk | None:
    """The live chunk with this id, if `principal` may see it."""
    statement = _chunk_texts().where(chunks.c.id == chunk_id, is_visible(principal))
    found = _assemble((await connection.execute(statement)).all())
    return next(iter(found.values()), None)


async def hydrated_by_key(
    connection: AsyncConnection, keys: Sequence[ChunkKey]
) -> Mapping[ChunkKey, HydratedChunk]:
    """Chunks of any tenant by key, for the checks of this machine's operator."""
    found: dict[ChunkKey, HydratedChunk] = {}
    for at in range(0, len(keys), 500):
        statement = _chunk_texts().where(chunks.c.key.in_(keys[at : at + 500]))
        found |= _assemble((await connection.execute(statement)).all())
    return found


async def indexed_chunks(
    connection: AsyncConnection, document_keys: Sequence[DocumentKey], batch: int = 500
) -> AsyncIterator[list[IndexedChunk]]:
    """The chunks of these documents as the lexical index wants them, by key, in batches.

    A batch is what may be assembled without holding up the event loop.
    """
    after = 0
    while True:
        wanted = (
            select(chunks.c.key)
            .where(chunks.c.document_key.in_(document_keys), chunks.c.key > after)
            .order_by(chunks.c.key)
            .limit(batch)
        )
        keys = list((await connection.execute(wanted)).scalars())
        if not keys:
            return
        after = keys[-1]
        yield await chunks_by_key(connection, keys)


async def chunks_by_key(connection: AsyncConnection, keys: Sequence[int]) -> list[IndexedChunk]:
    """These chunks as the lexical index wants them, by key; at most some hundred at once."""
    statement = _chunk_texts().where(chunks.c.key.in_(keys)).order_by(chunks.c.key)
    rows = (await connection.execute(statement)).all()
    owners = {row.chunk_key: row.document_key for row in rows}
    return [
        IndexedChunk(
            chunk.key,
            DocumentKey(owners[chunk.key]),
            " > ".join((chunk.title, *chunk.heading_path)),
            chunk.text,
        )
        for chunk in _assemble(rows).values()
    ]


async def chunk_keys_of(connection: AsyncConnection, document_key: DocumentKey) -> list[int]:
    """The keys of one document's chunks, none when it is gone."""
    statement = select(chunks.c.key).where(chunks.c.document_key == document_key)
    return list((await connection.execute(statement)).scalars())


async def stored_text(connection: AsyncConnection, document_key: DocumentKey) -> str:
    """All of a document's text, for the writer that is about to replace it."""
    statement = select(text_segments.c.text).where(text_segments.c.document_key == document_key)
    parts = (await connection.execute(statement.order_by(text_segments.c.start))).scalars()
    return "".join(parts)


async def document_keys(connection: AsyncConnection, collection_id: CollectionId) -> list[DocumentKey]:
    """The keys of a collection's documents, ascending."""
    statement = select(documents.c.key).where(documents.c.collection_id == collection_id)
    return [
        DocumentKey(key) for key in (await connection.execute(statement.order_by(documents.c.key))).scalars()
    ]


async def chunk_keys(connection: AsyncConnection, collection_id: CollectionId) -> set[int]:
    """The keys of a collection's chunks."""
    statement = (
        select(chunks.c.key)
        .join(documents, documents.c.key == chunks.c.document_key)
        .where(documents.c.collection_id == collection_id)
    )
    return set((await connection.execute(statement)).scalars())


async def stream_vectors(
    connection: AsyncConnection,
    dim: int,
    *,
    collection_id: CollectionId | None = None,
    document_keys: Sequence[DocumentKey] | None = None,
    chunk_keys: Sequence[int] | None = None,
    batch: int = 5_000,
) -> AsyncIterator[tuple[Matrix, list[int], list[int]]]:
    """Stored vectors with their chunk and document keys, in batches; damaged rows are passed over."""
    statement = (
        select(vectors.c.embedding, vectors.c.chunk_key, chunks.c.document_key)
        .join(chunks, chunks.c.key == vectors.c.chunk_key)
        .join(documents, documents.c.key == chunks.c.document_key)
        .where(func.length(vectors.c.embedding) == dim * 4)
    )
    if collection_id is not None:
        statement = statement.where(documents.c.collection_id == collection_id)
    if document_keys is not None:
        statement = statement.where(documents.c.key.in_(document_keys))
    if chunk_keys is not None:
        statement = statement.where(chunks.c.key.in_(chunk_keys))
    found = await connection.stream(statement)
    async for rows in found.partitions(batch):
        joined = b"".join(row[0] for row in rows)
        matrix = np.frombuffer(joined, dtype="<f4").reshape(len(rows), dim).astype(np.float32, copy=False)
        # NaN would sort above every score, at the cost of the chunks that belong there.
        is_sound = np.isfinite(matrix.sum(axis=1))
        if not is_sound.all():
            matrix, rows = matrix[is_sound], [row for row, sound in zip(rows, is_sound, strict=True) if sound]
        yield matrix, [row[1] for row in rows], [row[2] for row in rows]


def _chunk_texts() -> Select[tuple[object, ...]]:
    """Chunks joined with the one or two text segments that hold them; one row per segment."""
    begin = _larger(chunks.c.start, text_segments.c.start)
    end = _smaller(chunks.c.end, text_segments.c.end)
    piece = func.substr(text_segments.c.text, begin - text_segments.c.start + 1, end - begin)
    overlaps = and_(
        text_segments.c.document_key == chunks.c.document_key,
        text_segments.c.start < chunks.c.end,
        text_segments.c.end > chunks.c.start,
    )
    return (
        select(
            chunks.c.key.label("chunk_key"),
            chunks.c.id.label("chunk_id"),
            chunks.c.document_key,
            chunks.c.start.label("chunk_start"),
            chunks.c.end.label("chunk_end"),
            chunks.c.page,
            chunks.c.heading_path,
            documents.c.id.label("document_id"),
            documents.c.title,
            documents.c.source,
            documents.c.metadata,
            collections.c.name.label("collection"),
            text_segments.c.start.label("segment_start"),
            piece.label("piece"),
        )
        .select_from(chunks)
        .join(documents, documents.c.key == chunks.c.document_key)
        .join(collections, collections.c.id == documents.c.collection_id)
        .join(text_segments, overlaps)
    )


def _larger(a: ColumnElement[int], b: ColumnElement[int]) -> ColumnElement[int]:
    return case((a > b, a), else_=b)


def _smaller(a: ColumnElement[int], b: ColumnElement[int]) -> ColumnElement[int]:
    return case((a < b, a), else_=b)


def _assemble(rows: Sequence[Row[tuple[object, ...]]]) -> dict[ChunkKey, HydratedChunk]:
    pieces: dict[ChunkKey, list[tuple[int, str]]] = {}
    first: dict[ChunkKey, Row[tuple[object, ...]]] = {}
    for row in rows:
        if row.chunk_key is None:
            continue
        first.setdefault(row.chunk_key, row)
        pieces.setdefault(row.chunk_key, []).append((row.segment_start, row.piece))
    return {
        key: _hydrated_chunk(key, row, "".join(piece for _, piece in sorted(pieces[key])))
        for key, row in first.items()
    }


def _hydrated_chunk(key: ChunkKey, row: Row[tuple[object, ...]], text: str) -> HydratedChunk:
    return HydratedChunk(
        key=key,
        id=row.chunk_id,
        document_id=DocumentId(row.document_id),
        collection=row.collection,
        title=row.title,
        source=row.source,
        text=text,
        span=Span(row.chunk_start, row.chunk_end),
        page=row.page,
        heading_path=tuple(row.heading_path),
        metadata=row.metadata,
    )
