"""The newest committed version, in microseconds: what a cached answer is checked against.

`PRAGMA data_version` on a connection of its own changes with every commit of any other connection, this
process's writer included; only then are the rows read again. 2 to 3 us without a change, 20 us with one
(November 2026), so it runs on the event loop.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

_READ = "SELECT (SELECT version FROM corpus WHERE id = 1), (SELECT value FROM meta WHERE name = 'epoch')"


@dataclass(frozen=True, slots=True)
class CorpusState:
    """What the truth is at: the newest commit's version, and the name of this incarnation of the data."""

    version: int
    epoch: str


class VersionWatch:
    """Watches one SQLite file; one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        self._cursor = self._connection.cursor()
        self._seen: tuple[int] | None = None
        self._state: CorpusState | None = None

    def read(self) -> CorpusState | None:
        """The state now; None when the file is locked for a moment, as while it recovers."""
        try:
            seen: tuple[int] = self._cursor.execute("PRAGMA data_version").fetchone()
            if self._state is None or seen != self._seen:
                # Taken before the rows: a commit between the two is seen again next time.
                self._state = CorpusState(*self._cursor.execute(_READ).fetchone())
                self._seen = seen
        except sqlite3.OperationalError:
            return None
        return self._state

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
