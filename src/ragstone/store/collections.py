"""Collections: names to ids, settings fixed at creation, the version of the last change."""

from __future__ import annotations

import re

from sqlalchemy import RowMapping, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import CollectionNotFound, InvalidRequest
from ragstone.store.database import now
from ragstone.store.tables import collections, documents
from ragstone.types import ChunkingSpec, Collection, CollectionId, TenantId

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
METRIC, VECTOR_DTYPE, PRECISION = "cosine", "float32", "fp32"


def check_name(name: str) -> str:
    """The name itself when it may name a collection.

    Raises:
        InvalidRequest: it does not look like `[a-z0-9][a-z0-9_-]{0,62}`.
    """
    if not NAME.match(name):
        raise InvalidRequest(
            f"{name!r} cannot name a collection; use lower-case letters, digits, _ and -, "
            "beginning with a letter or digit, at most 63 characters.",
            collection=name,
        )
    return name


async def find_collections(
    connection: AsyncConnection, tenant_id: TenantId, names: tuple[str, ...] | None = None
) -> list[Collection]:
    """The tenant's collections, all or the named ones, by name, without counts."""
    statement = select(collections).where(collections.c.tenant_id == tenant_id).order_by(collections.c.name)
    if names is not None:
        statement = statement.where(collections.c.name.in_(names))
    return [_collection(row, 0, 0) for row in (await connection.execute(statement)).mappings()]


async def list_collections(connection: AsyncConnection, tenant_id: TenantId) -> list[Collection]:
    """The tenant's collections with their document and chunk counts, by name."""
    counts = (
        select(
            documents.c.collection_id,
            func.count().label("document_count"),
            func.coalesce(func.sum(documents.c.chunk_count), 0).label("chunk_count"),
        )
        .group_by(documents.c.collection_id)
        .subquery()
    )
    statement = (
        select(collections, counts.c.document_count, counts.c.chunk_count)
        .outerjoin(counts, counts.c.collection_id == collections.c.id)
        .where(collections.c.tenant_id == tenant_id)
        .order_by(collections.c.name)
    )
    rows = (await connection.execute(statement)).mappings()
    return [_collection(row, row["document_count"] or 0, row["chunk_count"] or 0) for row in rows]


async def all_collections(connection: AsyncConnection) -> list[Collection]:
    """Every tenant's collections, for the processes' own indexes."""
    rows = (await connection.execute(select(collections))).mappings()
    return [_collection(row, 0, 0) for row in rows]


async def create_collection(connection: AsyncConnection, collection: Collection) -> Collection:
    """Store the collection, or return the one of its tenant that has its name already."""
    found = await find_collections(connection, collection.tenant_id, (collection.name,))
    if found:
        return found[0]
    check_name(collection.name)
    await connection.execute(
        insert(collections).values(
            id=collection.id,
            tenant_id=collection.tenant_id,
            name=collection.name,
            language=collection.language,
            chunk_max_tokens=collection.chunking.max_tokens,
            chunk_overlap_tokens=collection.chunking.overlap_tokens,
            chunk_strategy=collection.chunking.strategy,
            model_id=collection.model_id,
            model_revision=collection.model_revision,
            model_precision=PRECISION,
            dim=collection.dim,
            metric=METRIC,
            vector_dtype=VECTOR_DTYPE,
            version=collection.version,
            created_at=now(),
        )
    )
    return collection


async def require_collection(connection: AsyncConnection, tenant_id: TenantId, name: str) -> Collection:
    """The named collection.

    Raises:
        CollectionNotFound: naming the ones there are.
    """
    found = await find_collections(connection, tenant_id)
    for collection in found:
        if collection.name == name:
            return collection
    raise CollectionNotFound(name, tuple(collection.name for collection in found))


async def mark_collection(connection: AsyncConnection, collection_id: CollectionId, version: int) -> None:
    """Remember the version of the collection's newest change."""
    await connection.execute(
        update(collections).where(collections.c.id == collection_id).values(version=version)
    )


async def remove_collection(connection: AsyncConnection, collection_id: CollectionId) -> None:
    """Delete the collection and, with it, every row of its documents."""
    await connection.execute(delete(documents).where(documents.c.collection_id == collection_id))
    await connection.execute(delete(collections).where(collections.c.id == collection_id))


def _collection(row: RowMapping, document_count: int, chunk_count: int) -> Collection:
    return Collection(
        id=CollectionId(row["id"]),
        tenant_id=TenantId(row["tenant_id"]),
        name=row["name"],
        language=row["language"],
        chunking=ChunkingSpec(row["chunk_max_tokens"], row["chunk_overlap_tokens"], row["chunk_strategy"]),
        model_id=row["model_id"],
        model_revision=row["model_revision"],
        dim=row["dim"],
        version=row["version"],
        document_count=document_count,
        chunk_count=chunk_count,
    )
