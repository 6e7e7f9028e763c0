"""Figures of the store and the indexes, read when somebody asks for the metrics."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from anyio import to_thread

from ragstone.store.audit import corpus_counts

if TYPE_CHECKING:
    from ragstone.index.follower import IndexFollower
    from ragstone.store.database import Database
    from ragstone.telemetry.metrics import Metrics


class Gauges:
    """Sets what only a look can tell; what costs a scan is looked at once for each corpus version."""

    def __init__(self, database: Database, follower: IndexFollower, metrics: Metrics) -> None:
        self._database = database
        self._follower = follower
        self._metrics = metrics
        self._counted_version = -1

    async def refresh(self) -> None:
        """Look at the store and the indexes.

        Raises:
            StoreFailed: the database does not answer.
        """
        applied, version = self._follower.applied_version, await self._database.corpus_version()
        self._metrics.corpus_version.set(applied)
        self._metrics.index_behind.set(max(0, version - applied))
        if version != self._counted_version:
            async with self._database.read() as connection:
                counts = await corpus_counts(connection)
            self._metrics.documents.set(counts.documents)
            self._metrics.chunks.set(counts.chunks)
            self._metrics.collections.set(counts.collections)
            self._counted_version = version
        for file, size in (await to_thread.run_sync(_sizes, self._database.path)).items():
            self._metrics.database_bytes.labels(file).set(size)


def _sizes(path: Path) -> dict[str, int]:
    """Bytes of the database and of its write-ahead log."""
    files = {"main": path, "wal": path.with_name(f"{path.name}-wal")}
    return {name: file.stat().st_size if file.exists() else 0 for name, file in files.items()}
