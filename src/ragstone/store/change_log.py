"""The ordered log of changes, from which derived indexes catch up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.store.tables import change_log
from ragstone.types import CollectionId, DocumentKey

NO_DOCUMENT = DocumentKey(0)


@dataclass(frozen=True, slots=True)
class Change:
    """A document to look at again (its rows say whether it is there), a new or a dropped collection.

    `chunks` is a document whose chunks say by their keys what changed: the others' text, title and
    headings are what they were.
    """

    version: int
    collection_id: CollectionId
    document_key: DocumentKey
    op: Literal["document", "chunks", "created", "dropped"]


async def record_documents(
    connection: AsyncConnection, version: int, collection_id: CollectionId, ops: Mapping[DocumentKey, str]
) -> None:
    """Log that these documents of one collection changed or went, each with its op."""
    rows = [
        {"version": version, "collection_id": collection_id, "document_key": key, "op": op}
        for key, op in ops.items()
    ]
    if rows:
        await connection.execute(insert(change_log), rows)


async def record_collection(
    connection: AsyncConnection, version: int, collection_id: CollectionId, op: Literal["created", "dropped"]
) -> None:
    """Log that a whole collection came or went."""
    await connection.execute(
        insert(change_log).values(
            version=version, collection_id=collection_id, document_key=NO_DOCUMENT, op=op
        )
    )


async def changes_after(connection: AsyncConnection, version: int) -> list[Change]:
    """Every change with a higher version, in order."""
    statement = select(change_log).where(change_log.c.version > version).order_by(change_log.c.version)
    return [
        Change(
            row["version"], CollectionId(row["collection_id"]), DocumentKey(row["document_key"]), row["op"]
        )
        for row in (await connection.execute(statement)).mappings()
    ]
