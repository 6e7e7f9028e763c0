"""Questions that only `ragstone check` asks: do the rows agree with each other?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.store.passages import hydrated_by_key
from ragstone.store.tables import chunks, collections, documents, text_segments, vectors
from ragstone.types import ChunkKey, CollectionId, DocumentId, DocumentKey

UNIT_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class RowReport:
    """Counts, and contradictions between rows in words."""

    document_count: int
    chunk_count: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChunkToEmbed:
    """A chunk whose vector is missing or damaged, with what it takes to make it again."""

    key: ChunkKey
    id: str
    document_id: DocumentId
    document_key: DocumentKey
    collection_id: CollectionId
    title: str
    heading_path: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class CorpusCounts:
    """How much there is, of all tenants."""

    documents: int
    chunks: int
    collections: int


async def corpus_counts(connection: AsyncConnection) -> CorpusCounts:
    """Rows of documents, chunks and collections."""
    counts = select(
        select(func.count()).select_from(documents).scalar_subquery(),
        select(func.coalesce(func.sum(documents.c.chunk_count), 0)).scalar_subquery(),
        select(func.count()).select_from(collections).scalar_subquery(),
    )
    return CorpusCounts(*(await connection.execute(counts)).one())


async def row_problems(connection: AsyncConnection) -> RowReport:
    """Whether every document has the text and the chunks that it says it has."""
    text_lengths = (
        select(text_segments.c.document_key, func.sum(func.length(text_segments.c.text)).label("length"))
        .group_by(text_segments.c.document_key)
        .subquery()
    )
    chunk_counts = (
        select(chunks.c.document_key, func.count().label("count"), func.max(chunks.c.end).label("end"))
        .group_by(chunks.c.document_key)
        .subquery()
    )
    statement = (
        select(
            documents.c.id,
            documents.c.char_count,
            documents.c.chunk_count,
            func.coalesce(text_lengths.c.length, 0).label("length"),
            func.coalesce(chunk_counts.c.count, 0).label("count"),
            func.coalesce(chunk_counts.c.end, 0).label("end"),
        )
        .outerjoin(text_lengths, text_lengths.c.document_key == documents.c.key)
        .outerjoin(chunk_counts, chunk_counts.c.document_key == documents.c.key)
    )
    problems: list[str] = []
    document_count = chunk_count = 0
    for row in (await connection.execute(statement)).mappings():
        document_count += 1
        chunk_count += row["count"]
        if row["length"] != row["char_count"]:
            problems.append(
                f"document {row['id']} stores {row['length']} of its {row['char_count']} characters"
            )
        if row["count"] != row["chunk_count"]:
            problems.append(f"document {row['id']} has {row['count']} of its {row['chunk_count']} chunks")
        if row["end"] > row["char_count"]:
            problems.append(f"document {row['id']} has a chunk beyond its end")
    return RowReport(document_count, chunk_count, tuple(problems))


async def chunks_with_bad_vectors(connection: AsyncConnection) -> list[ChunkToEmbed]:
    """Chunks whose vector is missing, of a wrong size, not finite or not of unit length."""
    statement = (
        select(
            chunks.c.key,
            chunks.c.id,
            chunks.c.document_key,
            chunks.c.heading_path,
            documents.c.id.label("document_id"),
            documents.c.collection_id,
            documents.c.title,
            collections.c.dim,
            vectors.c.embedding,
        )
        .join(documents, documents.c.key == chunks.c.document_key)
        .join(collections, collections.c.id == documents.c.collection_id)
        .outerjoin(vectors, vectors.c.chunk_key == chunks.c.key)
    )
    found = await connection.stream(statement)
    bad = [row async for row in found.mappings() if not _is_unit(row["embedding"], row["dim"])]
    texts = await hydrated_by_key(connection, [ChunkKey(row["key"]) for row in bad])
    return [
        ChunkToEmbed(
            key=ChunkKey(row["key"]),
            id=row["id"],
            document_id=DocumentId(row["document_id"]),
            document_key=DocumentKey(row["document_key"]),
            collection_id=CollectionId(row["collection_id"]),
            title=row["title"],
            heading_path=tuple(row["heading_path"]),
            text=texts[ChunkKey(row["key"])].text if ChunkKey(row["key"]) in texts else "",
        )
        for row in bad
    ]


async def store_vectors(connection: AsyncConnection, fresh: Sequence[tuple[ChunkKey, bytes]]) -> None:
    """Put these vectors in place of whatever the chunks have."""
    for key, embedding in fresh:
        await connection.execute(delete(vectors).where(vectors.c.chunk_key == key))
        await connection.execute(insert(vectors).values(chunk_key=key, embedding=embedding))


def _is_unit(embedding: bytes | None, dim: int) -> bool:
    if embedding is None or len(embedding) != dim * 4:
        return False
    length = float(np.linalg.norm(np.frombuffer(embedding, "<f4").astype(np.float64)))
    return abs(length - 1.0) < UNIT_TOLERANCE  # NaN compares false
