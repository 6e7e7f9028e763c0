"""Originals go with the last document and the last job that keeps them."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncIterator, Set as AbstractSet
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from anyio import to_thread

from ragstone.cancellation import run_to_end
from ragstone.errors import Overloaded, StoreFailed
from ragstone.store.documents import blob_names, count_blob_uses
from ragstone.store.job_rows import is_blob_of_job, job_blobs

if TYPE_CHECKING:
    from ragstone.store.blobs import Blobs
    from ragstone.store.database import Database, StoreConnection


def content_hash(content: bytes) -> str:
    """What tells the same bytes; blocks, a second for half a gigabyte."""
    return hashlib.sha256(content).hexdigest()


class Originals:
    """The originals of a home, which stay as long as a row names them.

    Whoever keeps one does so inside the write turn of the transaction that names it. Whoever ends a use of
    one drops it afterwards; what cannot be dropped then, because the database does not answer, is dropped by
    the next `drop_left`. What a killed process left is found by `sweep`.
    """

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self.blobs = blobs
        self._left: set[str] = set()

    async def drop(self, names: AbstractSet[str]) -> tuple[str, ...]:
        """Remove those that no document and no job names, also when the caller leaves; which went.

        Raises:
            StoreFailed: the database does not answer.
            Overloaded: other writes took too long.
        """
        self._left |= names
        return await run_to_end(self._drop(sorted(names)))

    async def drop_left(self) -> None:
        """Try again what could not be dropped; raises as `drop`."""
        if self._left:
            await self.drop(frozenset(self._left))

    async def sweep(self) -> None:
        """Remove all that nothing names; raises as `drop`."""
        # Names first: what is kept after this look is named by a row that the second look finds, or will be
        # by one whose transaction `_drop_one` waits for.
        kept = set(await to_thread.run_sync(lambda: list(self.blobs.names())))
        if kept:
            await self.drop(kept - await self.used())

    async def recover(self) -> None:
        """Remove what a killed process left, half written files, too; raises as `drop`."""
        async with self._database.write():
            # Inside the write turn, in which files are written: none of these is being written now.
            await to_thread.run_sync(self.blobs.remove_unfinished)
        await self.sweep()

    async def used(self) -> set[str]:
        """Those that a document or a job names."""
        async with self._database.read() as connection:
            return await blob_names(connection) | await job_blobs(connection)

    @asynccontextmanager
    async def dropping(self) -> AsyncIterator[set[str]]:
        """After the block, drop those of the set that nothing names any more.

        Also when the caller leaves in the middle: the change may be committed by then, and what it replaced
        must not stay on disk, or rolled back, and then its own original must not. A database that does not
        answer then changes nothing of what was done: see `drop_left`.
        """
        names: set[str] = set()
        try:
            yield names
        finally:
            with contextlib.suppress(StoreFailed, Overloaded):
                await self.drop(names)

    async def _drop(self, names: list[str]) -> tuple[str, ...]:
        gone = []
        for name in names:
            if await self._drop_one(name):
                gone.append(name)
            self._left.discard(name)
        return tuple(gone)

    async def _drop_one(self, sha256: str) -> bool:
        """The look before spares most a write turn."""
        async with self._database.read() as connection:
            if await _is_used(connection, sha256):
                return False
        async with self._database.write() as connection:
            # Inside the write turn: no other write can begin to use it meanwhile.
            is_unused = not await _is_used(connection, sha256)
            if is_unused:
                await to_thread.run_sync(self.blobs.remove, sha256)
        return is_unused


async def _is_used(connection: StoreConnection, sha256: str) -> bool:
    return await is_blob_of_job(connection, sha256) or await count_blob_uses(connection, sha256) > 0
