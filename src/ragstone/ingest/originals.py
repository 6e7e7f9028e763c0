"""Originals go with the last document and the last job that keeps them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from anyio import to_thread

from ragstone.cancellation import run_to_end
from ragstone.store.documents import count_blob_uses
from ragstone.store.job_rows import is_blob_of_job

if TYPE_CHECKING:
    from ragstone.store.blobs import Blobs
    from ragstone.store.database import Database, StoreConnection


def content_hash(content: bytes) -> str:
    """What tells the same bytes; blocks, a second for half a gigabyte."""
    return hashlib.sha256(content).hexdigest()


async def drop_unused_original(database: Database, blobs: Blobs, sha256: str) -> bool:
    """Remove an original that no document and no job keeps; whether it went.

    The look before spares most a write turn.
    """
    async with database.read() as connection:
        if await _is_used(connection, sha256):
            return False
    async with database.write() as connection:
        # Inside the write turn: no other write can begin to use it meanwhile.
        is_unused = not await _is_used(connection, sha256)
        if is_unused:
            await to_thread.run_sync(blobs.remove, sha256)
    return is_unused


@asynccontextmanager
async def dropping_unused(database: Database, blobs: Blobs) -> AsyncIterator[set[str]]:
    """After the block, remove those originals of the given set that nothing keeps any more.

    Also when the caller leaves in the middle: the change may be committed by then, and what it replaced must
    not stay on disk, or rolled back, and then its own original must not.
    """
    names: set[str] = set()
    try:
        yield names
    finally:
        for name in names:
            await run_to_end(drop_unused_original(database, blobs, name))


async def _is_used(connection: StoreConnection, sha256: str) -> bool:
    return await is_blob_of_job(connection, sha256) or await count_blob_uses(connection, sha256) > 0
