"""One change = one transaction: rows, change log, version; then this process's indexes catch up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ragstone.store.change_log import record_collection, record_documents
from ragstone.store.collections import mark_collection
from ragstone.store.database import raise_version

if TYPE_CHECKING:
    from ragstone.index.follower import IndexFollower
    from ragstone.store.database import Database, StoreConnection
    from ragstone.types import CollectionId, DocumentKey


@dataclass(slots=True)
class Change:
    """An open write transaction: what it touched decides what is logged; `version` is set at its end."""

    connection: StoreConnection
    documents: dict[CollectionId, dict[DocumentKey, Literal["document", "chunks"]]] = field(
        default_factory=dict
    )
    collections: dict[CollectionId, Literal["created", "dropped"]] = field(default_factory=dict)
    version: int = 0

    def touch(self, collection_id: CollectionId, keys: Iterable[DocumentKey]) -> None:
        """These documents of a collection were put, edited or removed."""
        self.documents.setdefault(collection_id, {}).update(dict.fromkeys(keys, "document"))

    def touch_chunks(self, collection_id: CollectionId, key: DocumentKey) -> None:
        """A document was put under its old title, and kept the keys of the chunks that stayed the same."""
        self.documents.setdefault(collection_id, {}).setdefault(key, "chunks")

    @property
    def is_empty(self) -> bool:
        """Whether nothing was touched, so that no version is raised."""
        return not self.documents and not self.collections


class Writer:
    """The way into the truth for this process."""

    def __init__(self, database: Database, follower: IndexFollower) -> None:
        self._database = database
        self._follower = follower

    @asynccontextmanager
    async def change(self) -> AsyncIterator[Change]:
        """A transaction that is durable and searchable here when the block is left.

        An error inside rolls everything back. A cancelled caller does not stop the indexes from catching
        up with what was committed.
        """
        with self._follower.expecting_own() as expect:
            async with self._database.write() as connection:
                change = Change(connection)
                yield change
                if not change.is_empty:
                    change.version = await raise_version(connection)
                    await _record(change)
                    expect(change.version)
        # A change that turned out to be none says that all is there already: so it must be found, too.
        await self._follower.catch_up(change.version or (await self._database.corpus_state()).version)


async def _record(change: Change) -> None:
    for collection_id, op in change.collections.items():
        await record_collection(change.connection, change.version, collection_id, op)
    for collection_id, ops in change.documents.items():
        await record_documents(change.connection, change.version, collection_id, ops)
    for collection_id in {*change.collections, *change.documents}:
        await mark_collection(change.connection, collection_id, change.version)
