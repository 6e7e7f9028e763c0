"""Do rows, vectors, indexes and originals agree, is the log whole? And making them agree again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from anyio import to_thread

from ragstone.ingest.chunk import embedding_text
from ragstone.search.legs import check_model
from ragstone.store.audit import chunks_with_bad_vectors, row_problems, store_vectors
from ragstone.store.collections import all_collections
from ragstone.store.database import integrity_problems
from ragstone.store.documents import blob_names
from ragstone.store.log_check import check_log
from ragstone.store.passages import chunk_keys

if TYPE_CHECKING:
    from pathlib import Path

    from ragstone.index.follower import IndexFollower
    from ragstone.ingest.originals import Originals
    from ragstone.ingest.write import Writer
    from ragstone.models.ports import Embedder
    from ragstone.store.database import Database


MOST_LOOKS = 20


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that does not agree. `store` is rows, vectors, lexical, vector_index, blobs or log."""

    store: str
    message: str
    is_repairable: bool = True


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was looked at and what was found."""

    document_count: int
    chunk_count: int
    problems: tuple[Problem, ...]
    log_layout: int | None = None
    """Version of the tables of the log; None when there is none, or none that can be read."""


class Checker:
    """Compares the truth with itself and with this process's derived indexes."""

    def __init__(
        self,
        database: Database,
        follower: IndexFollower,
        writer: Writer,
        embedder: Embedder,
        originals: Originals,
        log: Path,
    ) -> None:
        self._database = database
        self._follower = follower
        self._writer = writer
        self._embedder = embedder
        self._originals = originals
        self._log = log

    async def check(self) -> CheckReport:
        """Look at everything; nothing is changed. Beside a writer it looks again until nothing moved."""
        for _ in range(MOST_LOOKS):
            version = await self._database.corpus_version()
            await self._follower.catch_up(version)
            report = await self._look()
            if not report.problems or await self._database.corpus_version() == version:
                break
        log = await to_thread.run_sync(check_log, self._log, "integrity_check")
        damaged = [
            Problem("log", f"{text}; moved away, it is made anew", is_repairable=False)
            for text in log.problems
        ]
        return replace(report, problems=(*report.problems, *damaged), log_layout=log.layout)

    async def _look(self) -> CheckReport:
        problems = [
            Problem("rows", text, is_repairable=False) for text in await integrity_problems(self._database)
        ]
        async with self._database.read() as connection:
            rows = await row_problems(connection)
            bad_vectors = await chunks_with_bad_vectors(connection)
        problems += [Problem("rows", text, is_repairable=False) for text in rows.problems]
        problems += [
            Problem("vectors", f"chunk {chunk.id} of document {chunk.document_id} has no valid vector")
            for chunk in bad_vectors
        ]
        problems += await self._index_problems({chunk.key for chunk in bad_vectors})
        problems += await self._blob_problems()
        return CheckReport(rows.document_count, rows.chunk_count, tuple(problems))

    async def repair(self) -> CheckReport:
        """Embed what has no vector, drop orphaned originals, rebuild the indexes; then check again.

        Broken rows and lost originals cannot be repaired: they stay in the report.
        """
        await self._embed_again()
        await self._originals.recover()
        await self._follower.rebuild(await self._database.renew_epoch())
        return await self.check()

    async def _embed_again(self) -> None:
        async with self._database.read() as connection:
            broken = await chunks_with_bad_vectors(connection)
            collections = {collection.id: collection for collection in await all_collections(connection)}
        if not broken:
            return
        for collection_id in {chunk.collection_id for chunk in broken}:
            check_model(collections[collection_id], self._embedder)
        texts = [embedding_text(chunk.title, chunk.heading_path, chunk.text) for chunk in broken]
        rows = np.ascontiguousarray(await self._embedder.embed_passages(texts), dtype="<f4")
        async with self._writer.change() as change:
            await store_vectors(
                change.connection,
                [(chunk.key, row.tobytes()) for chunk, row in zip(broken, rows, strict=True)],
            )
            for chunk in broken:
                change.touch(chunk.collection_id, [chunk.document_key])

    async def _index_problems(self, without_vector: set[int]) -> list[Problem]:
        found: list[Problem] = []
        held = await to_thread.run_sync(self._follower.index_keys)
        async with self._database.read() as connection:
            for collection in await all_collections(connection):
                true_keys = await chunk_keys(connection, collection.id)
                lexical, vector = held.get(collection.id, (None, set()))
                found += _difference("lexical", collection.name, true_keys, lexical)
                found += _difference(
                    "vector_index", collection.name, true_keys - without_vector, vector - without_vector
                )
        return found

    async def _blob_problems(self) -> list[Problem]:
        async with self._database.read() as connection:
            named = await blob_names(connection)
        used = await self._originals.used()
        return await to_thread.run_sync(self._compare_blobs, sorted(named), used)

    def _compare_blobs(self, named: Sequence[str], used: set[str]) -> list[Problem]:
        damaged = [
            Problem("blobs", f"original {name} is missing or damaged", is_repairable=False)
            for name in named
            if not self._originals.blobs.is_whole(name)
        ]
        orphans = [
            Problem("blobs", f"original {name} belongs to no document")
            for name in self._originals.blobs.names()
            if name not in used
        ]
        return damaged + orphans


def _difference(store: str, collection: str, true_keys: set[int], held: set[int] | None) -> list[Problem]:
    if held is None:
        return [Problem(store, f"collection {collection!r} has no {store} index")]
    missing, foreign = len(true_keys - held), len(held - true_keys)
    if not missing and not foreign:
        return []
    return [
        Problem(
            store, f"collection {collection!r}: {missing} chunks missing, {foreign} that the rows do not know"
        )
    ]
