"""Collections: list, create, remove."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ragstone.cancellation import run_to_end
from ragstone.errors import CollectionNotFound, Conflict
from ragstone.service.chunks import check_chunking
from ragstone.store.collections import (
    create_collection,
    list_collections,
    remove_collection,
    require_collection,
)
from ragstone.store.documents import states_of
from ragstone.store.listing import Count, count_all, count_by
from ragstone.types import DEFAULT_COLLECTION, LOCAL_OWNER, ChunkingSpec, Collection, Principal, Receipt

if TYPE_CHECKING:
    from ragstone.ingest.pipeline import IngestPipeline
    from ragstone.ingest.write import Writer
    from ragstone.service.documents import DocumentService
    from ragstone.store.database import Database


@dataclass(frozen=True, slots=True)
class CollectionCounts:
    """A collection's documents by the values of `key`, the most frequent first, and all of them."""

    collection: str
    key: str
    counts: tuple[Count, ...]
    total: Count


class CollectionService:
    """Everything about collections."""

    def __init__(
        self, database: Database, writer: Writer, pipeline: IngestPipeline, documents: DocumentService
    ) -> None:
        self._database = database
        self._writer = writer
        self._pipeline = pipeline
        self._documents = documents

    async def list(self, principal: Principal = LOCAL_OWNER) -> Sequence[Collection]:
        """The tenant's collections with counts, by name."""
        async with self._database.read() as connection:
            return await list_collections(connection, principal.tenant_id)

    async def get(self, name: str, principal: Principal = LOCAL_OWNER) -> Collection:
        """One collection with counts.

        Raises:
            CollectionNotFound: there is no such collection.
        """
        found = {collection.name: collection for collection in await self.list(principal)}
        if name not in found:
            raise CollectionNotFound(name, tuple(found))
        return found[name]

    async def counts(
        self, name: str, key: str, limit: int, principal: Principal = LOCAL_OWNER
    ) -> CollectionCounts:
        """A collection's documents by the `limit` most frequent values of a key.

        Raises:
            CollectionNotFound: there is no such collection.
            InvalidFilter: nothing can be counted by this key.
        """
        async with self._database.read() as connection:
            found = await require_collection(connection, principal.tenant_id, name)
            counts = await count_by(connection, principal, found.id, key, limit)
            total = await count_all(connection, principal, found.id)
        return CollectionCounts(name, key, tuple(counts), total)

    async def create(
        self,
        name: str,
        language: str = "en",
        chunking: ChunkingSpec | None = None,
        principal: Principal = LOCAL_OWNER,
    ) -> Collection:
        """Make a collection, or return the one that has the name and the same settings.

        Raises:
            InvalidRequest: the overlap leaves a chunk nothing of its own.
            Conflict: the name belongs to a collection with other settings.
        """
        if chunking is not None:
            check_chunking(chunking)
        planned = self._pipeline.new_collection(principal, name, language, chunking)
        async with self._writer.change() as change:
            made = await create_collection(change.connection, planned)
            if made.id == planned.id:
                change.collections[made.id] = "created"
        if (made.language, made.chunking) != (planned.language, planned.chunking):
            raise Conflict(
                f"There is a collection {name!r} already, with language {made.language!r} and chunks by "
                f"{made.chunking.strategy} of {made.chunking.max_tokens} tokens "
                f"({made.chunking.overlap_tokens} shared); "
                "these are fixed. Choose another name, or remove it first."
            )
        return replace(made, version=change.version or made.version)

    async def remove(self, name: str, principal: Principal = LOCAL_OWNER) -> Receipt:
        """Remove a collection with all its documents; `default` stays, empty.

        What has begun is done to its end, also when the caller leaves.

        Raises:
            CollectionNotFound: there is no such collection.
        """
        return await run_to_end(self._remove(name, principal))

    async def _remove(self, name: str, principal: Principal) -> Receipt:
        async with self._writer.change() as change:
            found = await require_collection(change.connection, principal.tenant_id, name)
            states = await states_of(change.connection, principal, found.id, None)
            await remove_collection(change.connection, found.id)
            change.collections[found.id] = "dropped"
            if name == DEFAULT_COLLECTION:
                fresh = self._pipeline.new_collection(principal, name, found.language, found.chunking)
                await create_collection(change.connection, fresh)
                change.collections[fresh.id] = "created"
        return await self._documents.receipt(name, states, change.version)
