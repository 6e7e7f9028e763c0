"""A tier behind the caches that several processes share and that outlives them: rows of one SQLite file."""

from __future__ import annotations

import fnmatch
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from ragstone.cache.ports import Entry, TierStatistics
from ragstone.errors import CacheFailed

BUSY_S = 20.0


class SharedTier:
    """Keeps entries for good, so that only their keys decide whether they are found."""

    name = "shared"

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=OFF")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, payload BLOB, collections TEXT)"
        )

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Payloads in the order of the keys."""
        try:
            with closing(self._connection.cursor()) as cursor:
                return [self._payload(cursor, key) for key in keys]
        except sqlite3.Error as error:
            raise CacheFailed(str(error)) from error

    async def set_many(self, entries: Sequence[Entry]) -> None:
        """Keep these."""
        rows = [(entry.key, entry.payload, json.dumps(entry.collections)) for entry in entries]
        try:
            self._connection.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise CacheFailed(str(error)) from error

    async def delete_many(self, keys: Sequence[str]) -> None:
        """Forget these."""
        self._connection.executemany("DELETE FROM entries WHERE key = ?", [(key,) for key in keys])

    async def clear(self, pattern: str = "*", collection: str | None = None) -> int:
        """Forget what matches."""
        rows = self._connection.execute("SELECT key, collections FROM entries").fetchall()
        gone = [
            key
            for key, of in rows
            if fnmatch.fnmatchcase(key, pattern) and (collection is None or collection in json.loads(of))
        ]
        await self.delete_many(gone)
        return len(gone)

    async def statistics(self) -> TierStatistics:
        """What it holds."""
        row = self._connection.execute("SELECT count(*), coalesce(sum(length(payload)), 0) FROM entries")
        entries, size = row.fetchone()
        return TierStatistics(self.name, entries, size, is_available=True)

    async def aclose(self) -> None:
        """Close the file."""
        self._connection.close()

    def _payload(self, cursor: sqlite3.Cursor, key: str) -> bytes | None:
        row = cursor.execute("SELECT payload FROM entries WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])
