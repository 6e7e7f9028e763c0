"""Cached entries as rows of a SQLite file of their own, which may be lost, damaged or deleted at any time.

Not in the truth: a cache must never take its write turn. Nothing here waits for the disk (`synchronous=OFF`):
what a power cut damages is found and begun anew. Every call blocks; keep them off the loop.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog

from ragstone.errors import CacheFailed

T = TypeVar("T")

LAYOUT = 1
"""`user_version` of the file; one with another is begun anew."""
BUSY_TIMEOUT_S = 0.25
"""A write turn is a few milliseconds; whoever waits longer goes without the cache."""
SWEPT_AT_ONCE = 200
EVICTED_AT_ONCE = 64
_LOCK_PAUSE_S = 0.005
_READ_AT_ONCE = 500
_CLEARED_AT_ONCE = 1_000
_VACUUMED_PAGES = 10_000

_TABLES = """
CREATE TABLE entries (
    key TEXT PRIMARY KEY, payload BLOB NOT NULL, expires_at REAL NOT NULL, used_at REAL NOT NULL
);
CREATE INDEX entries_by_end ON entries (expires_at);
CREATE INDEX entries_by_use ON entries (used_at);
CREATE TABLE members (
    collection_id TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (collection_id, key)
) WITHOUT ROWID;
CREATE INDEX members_by_key ON members (key);
CREATE TRIGGER entry_gone AFTER DELETE ON entries BEGIN DELETE FROM members WHERE key = old.key; END;
"""
_PUT = """
INSERT INTO entries (key, payload, expires_at, used_at) VALUES (?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE
SET payload = excluded.payload, expires_at = excluded.expires_at, used_at = excluded.used_at
"""
_PASSING = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM})
"""Another process writes, the disk or memory is full: nothing is wrong with the file."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CacheRow:
    """An entry as it is stored; times are seconds since 1970."""

    key: str
    payload: bytes
    expires_at: float
    collections: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundRow:
    """What lies under a key, and when it was last used as far as the file knows."""

    payload: bytes
    used_at: float


class CacheRows:
    """One connection to the file, opened at the first call and again when the file was replaced.

    Every method raises `CacheFailed` when the file cannot be used, and goes on with an empty one when it is
    damaged. Threads take turns: a cancelled task leaves its thread behind at work.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._connection: sqlite3.Connection | None = None
        self._inode: int | None = None
        self._turn = threading.Lock()

    def read(self, keys: Sequence[str], now: float) -> dict[str, FoundRow]:
        """The rows under these keys that have not expired."""
        return self._run(lambda connection: _read(connection, keys, now))

    def write(self, rows: Sequence[CacheRow], used_keys: Mapping[str, float], now: float) -> None:
        """Keep the rows, note when others were used, forget what expired and what is too much: one turn."""
        self._run(lambda connection: self._write(connection, rows, used_keys, now))

    def delete(self, keys: Sequence[str]) -> None:
        """Forget these."""
        self._run(lambda connection: _in_turn(connection, lambda: _delete(connection, keys)))

    def clear(self, pattern: str, collection: str | None) -> int:
        """Forget what matches the glob (and is of the collection), give the disk its pages back; how many."""
        return self._run(lambda connection: _clear(connection, pattern, collection))

    def figures(self) -> tuple[int, int]:
        """Rows, and bytes of the pages in use."""
        return self._run(
            lambda connection: (_number(connection, "SELECT count(*) FROM entries"), _used_bytes(connection))
        )

    def close(self) -> None:
        """Let the file go."""
        with self._turn:
            self._let_go()

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._turn:
            try:
                return self._on_a_sound_file(work)
            except (sqlite3.Error, OSError) as error:
                if not _is_passing(error):
                    self._let_go()
                raise self._failed(error) from error

    def _on_a_sound_file(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return work(self._open())
        except sqlite3.DatabaseError as error:
            if _is_passing(error):
                raise
            self._begin_anew(error)
            return work(self._open())

    def _failed(self, error: Exception) -> CacheFailed:
        return CacheFailed(
            f"The cache file {self.path} cannot be used: {error}. It may be deleted at any time; "
            "cache.disk_max_bytes = 0 does without it."
        )

    def _open(self) -> sqlite3.Connection:
        """The connection, to the file that has the name now: others may have removed or replaced it."""
        if self._connection is not None and _inode(self.path) == self._inode:
            return self._connection
        self._let_go()
        with _locked(self.path):
            if _inode(self.path) is None:
                # Sidecars of a deleted file; its readers keep their own, by inode.
                _unlink(self.path, "-wal", "-shm")
            try:
                self._connection = _connect(self.path)
            finally:
                self._inode = _inode(self.path)
        return self._connection

    def _begin_anew(self, error: sqlite3.DatabaseError) -> None:
        """Drop the file, unless another process has done so already."""
        self._let_go()
        with _locked(self.path):
            if _inode(self.path) == self._inode:
                _log.warning("cache_file_dropped", path=str(self.path), reason=str(error))
                _unlink(self.path, "", "-wal", "-shm")

    def _write(
        self,
        connection: sqlite3.Connection,
        rows: Sequence[CacheRow],
        used_keys: Mapping[str, float],
        now: float,
    ) -> None:
        def turn() -> None:
            connection.executemany(_PUT, [(row.key, row.payload, row.expires_at, now) for row in rows])
            connection.executemany("DELETE FROM members WHERE key = ?", [(row.key,) for row in rows])
            connection.executemany(
                "INSERT OR IGNORE INTO members (collection_id, key) VALUES (?, ?)",
                [(collection, row.key) for row in rows for collection in row.collections],
            )
            connection.executemany(
                "UPDATE entries SET used_at = max(used_at, ?) WHERE key = ?",
                [(used_at, key) for key, used_at in used_keys.items()],
            )
            _sweep(connection, now)
            _evict(connection, self._max_bytes)

        _in_turn(connection, turn)


def _connect(path: Path) -> sqlite3.Connection:
    is_new = not path.exists() or not path.stat().st_size
    connection = sqlite3.connect(path, BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        if is_new:  # else it would wait for the write turn
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA journal_size_limit=4194304")
        _lay_out(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _lay_out(connection: sqlite3.Connection) -> None:
    layout = _number(connection, "PRAGMA user_version")
    if layout == 0 and not _number(connection, "SELECT count(*) FROM sqlite_master"):
        connection.executescript(f"BEGIN; {_TABLES} PRAGMA user_version={LAYOUT}; COMMIT;")
    elif layout != LAYOUT:
        raise sqlite3.DatabaseError(f"its layout is {layout}, this version writes {LAYOUT}")


def _read(connection: sqlite3.Connection, keys: Sequence[str], now: float) -> dict[str, FoundRow]:
    found: dict[str, FoundRow] = {}
    for start in range(0, len(keys), _READ_AT_ONCE):
        part = keys[start : start + _READ_AT_ONCE]
        places = ",".join("?" * len(part))
        rows = connection.execute(
            f"SELECT key, payload, used_at FROM entries WHERE key IN ({places}) AND expires_at > ?",  # noqa: S608 (placeholders)
            (*part, now),
        )
        found |= {key: FoundRow(payload, used_at) for key, payload, used_at in rows}
    return found


def _in_turn(connection: sqlite3.Connection, work: Callable[[], T]) -> T:
    """The work in one transaction that begins as a writer."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        done = work()
        connection.execute("COMMIT")
        return done
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _delete(connection: sqlite3.Connection, keys: Sequence[str]) -> None:
    connection.executemany("DELETE FROM entries WHERE key = ?", [(key,) for key in keys])


def _clear(connection: sqlite3.Connection, pattern: str, collection: str | None) -> int:
    """In slices: other processes want to write, too."""
    some, values = "SELECT key FROM entries WHERE key GLOB ?", [pattern]
    if collection is not None:
        some += " AND key IN (SELECT key FROM members WHERE collection_id = ?)"
        values.append(collection)
    statement = f"DELETE FROM entries WHERE key IN ({some} LIMIT {_CLEARED_AT_ONCE})"  # noqa: S608 (constants)
    cleared = 0
    while gone := _in_turn(connection, lambda: connection.execute(statement, values).rowcount):
        cleared += gone
    connection.execute(f"PRAGMA incremental_vacuum({_VACUUMED_PAGES})").fetchall()
    return cleared


def _sweep(connection: sqlite3.Connection, now: float) -> None:
    connection.execute(
        "DELETE FROM entries WHERE key IN "
        "(SELECT key FROM entries WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
        (now, SWEPT_AT_ONCE),
    )


def _evict(connection: sqlite3.Connection, max_bytes: int) -> None:
    """Forget the least recently used until the pages in use fit."""
    while _used_bytes(connection) > max_bytes:
        gone = connection.execute(
            "DELETE FROM entries WHERE key IN (SELECT key FROM entries ORDER BY used_at LIMIT ?)",
            (EVICTED_AT_ONCE,),
        )
        if not gone.rowcount:
            return


def _used_bytes(connection: sqlite3.Connection) -> int:
    pages = _number(connection, "PRAGMA page_count") - _number(connection, "PRAGMA freelist_count")
    return pages * _number(connection, "PRAGMA page_size")


def _number(connection: sqlite3.Connection, statement: str) -> int:
    return int(connection.execute(statement).fetchone()[0])


def _is_passing(error: Exception) -> bool:
    return (getattr(error, "sqlite_errorcode", -1) & 0xFF) in _PASSING


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _unlink(path: Path, *endings: str) -> None:
    for ending in endings:
        path.with_name(path.name + ending).unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Only one process at a time opens, makes or drops the file."""
    handle = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take(handle, time.monotonic() + BUSY_TIMEOUT_S)
        yield
    finally:
        os.close(handle)


def _take(handle: int, give_up_at: float) -> None:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= give_up_at:
                raise
            time.sleep(_LOCK_PAUSE_S)
