"""The real server in a process of its own, with hashed words for a model, and maybe with a planted bug.

Processes are forked from one that has imported everything: a start takes 0.3 s instead of 6 on a busy
machine of two cores (November 2026), and every kill is paid with a start.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import httpx2
from sqlalchemy import select

from ragstone.config import load
from ragstone.entrypoints.http import serve
from ragstone.index.follower import IndexFollower
from ragstone.models.fakes import HashEmbedder
from ragstone.runtime.engine import open_engine
from ragstone.search import pipeline
from ragstone.service import chunks as chunk_service, documents as document_service
from ragstone.store import chunks as chunk_store, passages, reading, tables
from ragstone.store.change_log import Change
from ragstone.store.database import StoreConnection
from ragstone.store.passages import Hydrated, HydratedChunk
from ragstone.telemetry.logs import quiet_logs
from ragstone.types import ChunkKey, CollectionId, Passage, Principal
from tests.support.process import COMMAND_LIMIT_S, START_LIMIT_S, STOP_LIMIT_S

Flags = Mapping[str, str | int | float | bool | None]
"""Settings by their names."""
FLAGS: Flags = {
    "server.port": 0,
    "ingest.chunk_max_tokens": 16,
    "ingest.lease_s": 3,
    "ingest.retry_backoff_s": 0.1,
    "ingest.max_attempts": 50,
    "index.writer_memory_mb": 15,
}


def without_predicate() -> None:
    """Texts once read are kept by chunk key and id and served from there, whether they are live or not."""
    kept: dict[ChunkKey, HydratedChunk] = {}
    versions: list[Hydrated] = []

    async def hydrate(
        connection: StoreConnection,
        principal: Principal,
        collection_ids: Sequence[CollectionId],
        keys: Sequence[ChunkKey],
    ) -> Hydrated:
        if versions and all(key in kept for key in keys):
            return replace(versions[-1], chunks={key: kept[key] for key in keys})
        found = await passages.hydrate(connection, principal, collection_ids, keys)
        kept.update(found.chunks)
        versions.append(found)
        return found

    async def find_chunk(
        connection: StoreConnection, principal: Principal, chunk_id: str
    ) -> HydratedChunk | None:
        known = next((chunk for chunk in kept.values() if chunk.id == chunk_id), None)
        return known or await passages.find_chunk(connection, principal, chunk_id)

    async def read_around(
        connection: StoreConnection, principal: Principal, chunk_id: str, context_chars: int
    ) -> Passage | None:
        known = next((chunk for chunk in kept.values() if chunk.id == chunk_id), None)
        if known is None:
            return await reading.read_around(connection, principal, chunk_id, context_chars)
        place = known.page, known.heading_path, known.span.end
        return Passage(known.document_id, known.title, known.text, known.span, *place)

    document_service.read_around = read_around  # type: ignore[attr-defined]
    pipeline.hydrate = hydrate  # type: ignore[attr-defined]
    chunk_service.find_chunk = find_chunk  # type: ignore[attr-defined]


def without_catch_up() -> None:
    """Every third round of changes is passed over by the indexes."""
    apply = IndexFollower._apply
    rounds: list[int] = []

    async def forgetful(self: IndexFollower, changes: Sequence[Change], *, with_vectors: bool) -> None:
        rounds.append(len(changes))
        if len(rounds) % 3 or any(change.op in ("created", "dropped") for change in changes):
            await apply(self, changes, with_vectors=with_vectors)

    IndexFollower._apply = forgetful  # type: ignore[method-assign]


def with_reused_keys() -> None:
    """New chunks take the keys of chunks that were dropped, the latest first."""
    drop, fresh = chunk_store._drop_chunks, chunk_store._take_chunk_keys
    free: list[int] = []

    async def note(connection: StoreConnection, keys: Sequence[int]) -> None:
        free.extend(keys)
        await drop(connection, keys)

    async def take(connection: StoreConnection, count: int) -> int:
        used = set((await connection.execute(select(tables.chunks.c.key))).scalars())
        unused = set(free) - used
        fitting = (key for key in reversed(free) if unused.issuperset(range(key, key + count)))
        return next(fitting, None) or await fresh(connection, count)

    chunk_store._drop_chunks = note
    chunk_store._take_chunk_keys = take


BUGS: Mapping[str, Callable[[], None]] = {
    "no predicate": without_predicate,
    "no catch-up": without_catch_up,
    "reused keys": with_reused_keys,
}


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A running server."""

    process: BaseProcess
    url: str
    client: httpx2.Client

    def kill(self) -> None:
        """kill -9, and wait until nothing of it is left."""
        self.process.kill()
        self.process.join(STOP_LIMIT_S)
        assert self.process.exitcode is not None

    def stop(self) -> int | None:
        """SIGTERM; the exit code."""
        self.client.close()
        self.process.terminate()
        self.process.join(STOP_LIMIT_S)
        return self.process.exitcode


def start_server(home: Path, bug: str | None = None, flags: Flags | None = None) -> ServerProcess:
    """A server on a free port of its own, ready; `flags` are set besides `FLAGS`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    receiver, sender = context.Pipe(duplex=False)
    with receiver, sender:
        process = context.Process(target=_serve, args=(home, bug, flags or {}, sender))
        process.start()
        if not receiver.poll(START_LIMIT_S):
            process.kill()
            raise TimeoutError(f"no server on {home} within {START_LIMIT_S:g} s")
        url = receiver.recv()
    # Connections are let go of before the server does: a request on a closing one would look like a crash.
    limits = httpx2.Limits(keepalive_expiry=1.0)
    client = httpx2.Client(base_url=url, timeout=COMMAND_LIMIT_S, trust_env=False, limits=limits)
    return ServerProcess(process, url, client)


def _serve(home: Path, bug: str | None, flags: Flags, sender: Connection) -> None:
    quiet_logs()
    if bug is not None:
        BUGS[bug]()
    serve.open_engine = partial(open_engine, embedder=HashEmbedder())  # type: ignore[attr-defined]
    asyncio.run(serve.serve(load(home, environ={}, flags={**FLAGS, **flags}), sender.send))
