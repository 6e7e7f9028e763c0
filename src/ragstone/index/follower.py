"""Keeps a process's derived indexes at the version of the truth.

One `catch_up` runs at a time; whoever asks meanwhile shares the next one, so many writes end in one
lexical commit (group commit). Applying a change twice does no harm: a document's chunks are dropped and
added as the rows say now; where a change left most of a document's chunks alone, only the others are.
"""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import structlog
from anyio import to_thread

from ragstone.errors import IndexFailed
from ragstone.index.feed import (
    batches,
    put_changed_lexical,
    put_changed_vectors,
    put_lexical,
    put_vectors,
)
from ragstone.index.lexical import TantivyIndex
from ragstone.index.slot import Applied, Slot
from ragstone.index.vector import ExactVectorIndex, Products
from ragstone.store.change_log import Change, changes_after
from ragstone.store.collections import all_collections
from ragstone.store.passages import document_keys, stream_vectors

if TYPE_CHECKING:
    from ragstone.index.ports import LexicalIndex, VectorIndex
    from ragstone.store.database import Database
    from ragstone.types import Candidate, Collection, CollectionId, DocumentKey, TenantId, Vector

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class CollectionIndexes:
    """The two legs of one collection; a lexical index that failed is None until a rebuild works."""

    collection: Collection
    vector: ExactVectorIndex
    lexical: TantivyIndex | None
    last_change: int = 0
    problems: list[str] = field(default_factory=list)


class IndexFollower:
    """The derived indexes of this process. Build with `open_follower`."""

    def __init__(
        self,
        database: Database,
        slot: Slot,
        epoch: str,
        writer_memory_mb: int,
        products: Products = operator.matmul,
    ) -> None:
        self._database = database
        self._slot = slot
        self._epoch = epoch
        self._writer_memory_mb = writer_memory_mb
        self._indexes: dict[CollectionId, CollectionIndexes] = {}
        self._own: set[int] = set()
        self._products = products
        self._applied = 0
        self._turn = asyncio.Lock()
        self._catching_up: asyncio.Future[None] | None = None

    @property
    def applied_version(self) -> int:
        """Every change up to this version is in the indexes."""
        return self._applied

    @contextmanager
    def expecting_own(self) -> Iterator[Callable[[int], None]]:
        """Around a write transaction: call the given function with the version that it raised.

        The version counts as this process's own from before its commit; a rolled back one is forgotten,
        because another process may take the number.
        """
        taken: list[int] = []

        def expect(version: int) -> None:
            taken.append(version)
            self._own.add(version)

        try:
            yield expect
        except BaseException:
            self._own.difference_update(taken)
            raise

    def is_behind_others(self, store_version: int) -> bool:
        """Whether a change by another process, up to `store_version`, is missing here.

        Versions rise by one a change, so the gap is our own work in flight exactly when we know all of it.
        """
        gap = store_version - self._applied
        return gap > sum(1 for version in self._own if self._applied < version <= store_version)

    def corpus_version(self, ids: Iterable[CollectionId]) -> int:
        """The newest change of these collections that is applied."""
        found = [
            self._indexes[collection_id].last_change
            for collection_id in ids
            if collection_id in self._indexes
        ]
        return max(found, default=0)

    def collections_of(self, tenant_id: TenantId) -> Mapping[str, Collection]:
        """The tenant's collections that are applied, by name."""
        return {
            found.collection.name: found.collection
            for found in self._indexes.values()
            if found.collection.tenant_id == tenant_id
        }

    def holds(self, collections: Iterable[Collection]) -> bool:
        """Whether all of them are still there."""
        return all(collection.id in self._indexes for collection in collections)

    def lexical(self, collection_id: CollectionId) -> LexicalIndex:
        """The lexical index of a collection.

        Raises:
            IndexFailed: it is broken and could not be rebuilt, or the collection is gone.
        """
        indexes = self._indexes.get(collection_id)
        if indexes is None or indexes.lexical is None:
            raise IndexFailed(f"The lexical index of collection {collection_id} is not available.")
        return indexes.lexical

    def vector(self, collection_id: CollectionId) -> VectorIndex:
        """The vector index of a collection.

        Raises:
            IndexFailed: the collection is gone.
        """
        indexes = self._indexes.get(collection_id)
        if indexes is None:
            raise IndexFailed(f"The vector index of collection {collection_id} is not available.")
        return indexes.vector

    async def search_lexical(
        self, collection_id: CollectionId, query: str, limit: int, allowed: AbstractSet[int] | None
    ) -> list[Candidate]:
        """`LexicalIndex.search` in a worker thread."""
        search = self.lexical(collection_id).search
        return await to_thread.run_sync(search, query, limit, allowed, abandon_on_cancel=True)

    async def search_dense(
        self, collection_id: CollectionId, vector: Vector, limit: int, allowed: AbstractSet[int] | None
    ) -> list[Candidate]:
        """`VectorIndex.search`, in a worker thread when it is long enough to hold up the loop."""
        index = self.vector(collection_id)
        if index.size <= INLINE_ROWS and allowed is None:
            return index.search(vector, limit, allowed)
        return await to_thread.run_sync(index.search, vector, limit, allowed, abandon_on_cancel=True)

    async def catch_up(self, version: int) -> None:
        """Return when every change up to `version` is applied and durable in the lexical index.

        A caller that is cancelled leaves; the work it began goes on for the others.
        """
        while self._applied < version:
            if self._catching_up is None or self._catching_up.done():
                self._catching_up = asyncio.ensure_future(self._take_turn(self._applied))
                self._catching_up.add_done_callback(_look_at)
            await asyncio.shield(self._catching_up)

    async def _take_turn(self, applied: int) -> None:
        async with self._turn:
            # A rebuild that was under way has brought everything by itself.
            if self._applied == applied:
                await self._apply_new_changes()

    async def rebuild(self, epoch: str) -> None:
        """Drop the derived files of this process and build them from the truth of the new `epoch`.

        Files of other slots are of an older epoch by then: their next processes rebuild them, too.
        """
        async with self._turn:
            self._epoch = epoch
            # Together, so that whoever misses a collection waits for this turn to end.
            old, self._indexes, self._applied = self._indexes, {}, 0
            for indexes in old.values():
                if indexes.lexical is not None:
                    await to_thread.run_sync(indexes.lexical.close)
            await to_thread.run_sync(self._slot.clear)
            await self._load(None)

    async def aclose(self) -> None:
        """Finish merges, close files, free the slot."""
        async with self._turn:
            for indexes in self._indexes.values():
                if indexes.lexical is not None:
                    try:
                        await to_thread.run_sync(indexes.lexical.close)
                    except IndexFailed as error:
                        log.warning("index_close_failed", error=error.message)
            self._slot.release()

    def broken_collections(self) -> list[str]:
        """Names of the collections whose lexical index could not be opened or rebuilt."""
        return sorted(found.collection.name for found in self._indexes.values() if found.lexical is None)

    def index_keys(self) -> Mapping[CollectionId, tuple[set[int] | None, set[int]]]:
        """Chunk keys per collection that the lexical (None: broken) and the vector index hold. Blocks."""
        return {
            collection_id: (None if found.lexical is None else found.lexical.keys(), found.vector.keys())
            for collection_id, found in self._indexes.items()
        }

    async def open(self) -> None:
        """Bring the slot's files to the present version; rebuild what is missing, foreign or damaged."""
        applied = await to_thread.run_sync(self._slot.read_applied)
        if applied is None or applied.epoch != self._epoch:
            await to_thread.run_sync(self._slot.clear)
            applied = None
        async with self._turn:
            await self._load(applied)

    async def _load(self, applied: Applied | None) -> None:
        self._applied = 0 if applied is None else applied.version
        # Read before the rows: what is committed meanwhile is applied once more by the next catch-up.
        version = await self._database.corpus_version()
        if self._applied > version:
            await to_thread.run_sync(self._slot.clear)
            applied = None
        async with self._database.read() as connection:
            found = await all_collections(connection)
            changes = [] if applied is None else await changes_after(connection, applied.version)
        for collection in found:
            await self._load_collection(collection, is_kept=applied is not None)
        if changes:
            await self._apply(changes, with_vectors=False)
        self._applied = version
        await self._note_applied()

    async def _load_collection(self, collection: Collection, *, is_kept: bool) -> None:
        indexes = CollectionIndexes(
            collection, ExactVectorIndex(collection.dim, self._products), None, collection.version
        )
        async with self._database.read() as connection:
            async for matrix, keys, documents in stream_vectors(
                connection, collection.dim, collection_id=collection.id
            ):
                indexes.vector.apply([], matrix, keys, documents)
        if not (is_kept and await self._open_lexical(indexes)):
            await self._rebuild_lexical(indexes)
        # Not before: a search would take the part that is there for the whole.
        self._indexes[collection.id] = indexes

    async def _open_lexical(self, indexes: CollectionIndexes) -> bool:
        folder = self._slot.collection_folder(indexes.collection.id)
        if not await to_thread.run_sync(TantivyIndex.is_there, folder):
            return False
        build = partial(TantivyIndex, folder, indexes.collection.language, self._writer_memory_mb)
        try:
            indexes.lexical = await to_thread.run_sync(build)
        except IndexFailed as error:
            log.warning("lexical_index_damaged", collection=indexes.collection.name, error=error.message)
            return False
        return True

    async def _rebuild_lexical(self, indexes: CollectionIndexes) -> None:
        """From the rows. Until it is whole there is none: searches name it instead of finding less."""
        collection = indexes.collection
        indexes.lexical = None
        folder = self._slot.collection_folder(collection.id)
        build = partial(TantivyIndex.rebuilt_empty, folder, collection.language, self._writer_memory_mb)
        try:
            await to_thread.run_sync(self._slot.forget_applied)
            lexical = await to_thread.run_sync(build)
            async with self._database.read() as connection:
                keys = await document_keys(connection, collection.id)
            await put_lexical(self._database, lexical, [], keys)
            await to_thread.run_sync(lexical.commit)
            indexes.lexical = lexical
        except IndexFailed as error:
            log.error(  # noqa: TRY400 (the reason is in the message; the stack says nothing more)
                "lexical_index_unavailable", collection=collection.name, error=error.message
            )

    async def _apply_new_changes(self) -> None:
        async with self._database.read() as connection:
            changes = await changes_after(connection, self._applied)
        if not changes:
            raise IndexFailed(
                f"The change log has nothing after version {self._applied}; run `ragstone check --repair`."
            )
        log.debug("index_commit_started", changes=len(changes))
        await self._apply(changes, with_vectors=True)
        self._applied = max(change.version for change in changes)
        self._own = {version for version in self._own if version > self._applied}
        await self._note_applied()

    async def _note_applied(self) -> None:
        """Note what the files hold; with a broken index they hold less, so the next opening begins again."""
        if self.broken_collections():
            await to_thread.run_sync(self._slot.forget_applied)
        else:
            await to_thread.run_sync(self._slot.write_applied, Applied(self._epoch, self._applied))

    async def _apply(self, changes: Sequence[Change], *, with_vectors: bool) -> None:
        by_collection: dict[CollectionId, dict[DocumentKey, bool]] = {}
        newest: dict[CollectionId, int] = {}
        for change in changes:
            newest[change.collection_id] = change.version
            if change.op == "dropped":
                await self._drop(change.collection_id)
                continue
            keys = by_collection.setdefault(change.collection_id, {})
            if change.op in ("document", "chunks"):
                is_partial = change.op == "chunks"
                keys[change.document_key] = keys.get(change.document_key, True) and is_partial
        if any(collection_id not in self._indexes for collection_id in by_collection):
            await self._add_collections(by_collection)
        for collection_id, keys in by_collection.items():
            if collection_id in self._indexes:
                indexes = self._indexes[collection_id]
                await self._apply_documents(indexes, keys, with_vectors=with_vectors)
        # All at once: a request over two collections must not have the newer change of one without the
        # older change of the other under the version of the newer.
        for collection_id in by_collection.keys() & self._indexes.keys():
            indexes = self._indexes[collection_id]
            indexes.last_change = max(indexes.last_change, newest[collection_id])

    async def _add_collections(self, wanted: Iterable[CollectionId]) -> None:
        async with self._database.read() as connection:
            found = {collection.id: collection for collection in await all_collections(connection)}
        for collection_id in wanted:
            if collection_id in found and collection_id not in self._indexes:
                fresh = found[collection_id]
                indexes = CollectionIndexes(fresh, ExactVectorIndex(fresh.dim, self._products), None, 0)
                await self._rebuild_lexical(indexes)
                self._indexes[collection_id] = indexes

    async def _apply_documents(
        self, indexes: CollectionIndexes, changed: Mapping[DocumentKey, bool], *, with_vectors: bool
    ) -> None:
        """`changed` says of each document whether a look at its chunks is enough.

        Without vectors it never is: those were read as the rows are now, and tell nothing of the files.
        """
        whole = [key for key, is_partial in changed.items() if not (is_partial and with_vectors)]
        partial = [key for key, is_partial in changed.items() if is_partial and with_vectors]
        if indexes.lexical is not None:
            try:
                for batch in batches(whole):
                    await put_lexical(self._database, indexes.lexical, batch, batch)
                for key in partial:
                    await put_changed_lexical(self._database, indexes.lexical, key)
                await to_thread.run_sync(indexes.lexical.commit)
            except IndexFailed as error:
                log.warning("lexical_index_damaged", collection=indexes.collection.name, error=error.message)
                await self._rebuild_lexical(indexes)
        else:
            await self._rebuild_lexical(indexes)
        if with_vectors:
            await put_vectors(self._database, indexes.vector, whole)
            for key in partial:
                await put_changed_vectors(self._database, indexes.vector, key)

    async def _drop(self, collection_id: CollectionId) -> None:
        indexes = self._indexes.pop(collection_id, None)
        if indexes is not None and indexes.lexical is not None:
            await to_thread.run_sync(indexes.lexical.close)
        await to_thread.run_sync(self._slot.forget_collection, collection_id)


INLINE_ROWS = 2_000
"""Rows whose scan (under 0.1 ms) costs less than a hop to a thread and back."""


def _look_at(done: asyncio.Future[None]) -> None:
    """Retrieve the exception of a catch-up whose callers have all left."""
    if not done.cancelled():
        done.exception()


async def open_follower(
    database: Database, slot: Slot, writer_memory_mb: int, products: Products = operator.matmul
) -> IndexFollower:
    """The follower of an open database, caught up; `products` is what its vector indexes multiply with."""
    follower = IndexFollower(database, slot, await database.epoch(), writer_memory_mb, products)
    await follower.open()
    return follower
