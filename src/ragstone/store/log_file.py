"""The file of the log, opened when it is first needed: whoever cannot open it goes without it.

Statements run in threads of their own: a batch or a report binds and reads thousands of values, which would
hold the event loop. `synchronous=NORMAL`: a killed process loses nothing that was committed; a power cut may
take the last seconds, which no truth depends on.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import anyio
from anyio import CapacityLimiter, to_thread
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ragstone.errors import DeadlineExceeded, StoreFailed
from ragstone.store.log_tables import log_metadata

T = TypeVar("T")

LogConnection = Connection
"""What a read or a write of the log holds; rooms above the store name it by this."""

LAYOUT = 1
"""`user_version` of the file. A later one brings its steps here; an unknown one is left alone."""
BUSY_TIMEOUT_S = 5.0
READ_LIMIT_S = 30.0
"""What one report may take."""
READERS = 4
_LOOKED_AT_EVERY = 100_000
"""Steps of SQLite between two looks at the clock."""


class LogFile:
    """One process's connections to the file. Calls wait their turn in threads and run to their end."""

    def __init__(self, path: Path, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.path = path
        self._busy_timeout_s = busy_timeout_s
        self._engine: Engine | None = None
        self._opening = threading.Lock()
        self._reading = CapacityLimiter(READERS)
        self._writing = CapacityLimiter(1)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """What `work` reads; each of its statements sees one committed state.

        Raises:
            StoreFailed: the file does not answer.
            DeadlineExceeded: a statement takes longer than `READ_LIMIT_S`.
        """
        return await to_thread.run_sync(lambda: self.read_now(work), limiter=self._reading)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, its changes committed together.

        Raises:
            StoreFailed: another process writes for too long, the disk is full, the file cannot be opened.
        """
        return await to_thread.run_sync(lambda: self._write(work), limiter=self._writing)

    def read_now(self, work: Callable[[Connection], T]) -> T:
        """As `read`, in a thread of the caller's."""
        with self._translated(), self._open().connect() as connection, _limited(connection):
            return work(connection)

    async def empty_log(self) -> bool:
        """Move the write-ahead log into the file and cut it to nothing; False while others read it."""

        def checkpoint(connection: Connection) -> bool:
            busy, _, _ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
            return not busy

        return await self.read(checkpoint)

    async def aclose(self) -> None:
        """Let the file go."""
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(self._dispose)

    def _write(self, work: Callable[[Connection], T]) -> T:
        with self._translated(), self._open().connect() as connection, _turn(connection):
            return work(connection)

    def _open(self) -> Engine:
        with self._opening:
            if self._engine is None:
                self._engine = self._opened()
            return self._engine

    def _opened(self) -> Engine:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(
            f"sqlite:///{self.path}",
            connect_args={
                "timeout": self._busy_timeout_s,
                "isolation_level": None,
                "check_same_thread": False,
            },
            isolation_level="AUTOCOMMIT",
            pool_size=READERS + 1,
            hide_parameters=True,
        )
        event.listen(engine, "connect", _set_pragmas)
        try:
            with engine.connect() as connection:
                self._lay_out(connection)
        except BaseException:
            engine.dispose()
            raise
        return engine

    def _lay_out(self, connection: Connection) -> None:
        if _layout(connection) == LAYOUT:
            return
        with _turn(connection):
            found = _layout(connection)
            if found not in (0, LAYOUT):
                raise StoreFailed(
                    f"The log {self.path} has layout {found}, this version writes {LAYOUT}: a newer Ragstone "
                    "wrote it. Upgrade Ragstone, or move the file away."
                )
            log_metadata.create_all(connection)
            connection.exec_driver_sql(f"PRAGMA user_version={LAYOUT}")

    def _dispose(self) -> None:
        with self._opening:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            if "interrupted" in str(error.orig):
                raise DeadlineExceeded(
                    f"The report took longer than {READ_LIMIT_S:g} s; ask for a shorter time."
                ) from error
            raise StoreFailed(
                f"The log {self.path} failed: {error.orig}. Without it requests are answered and not logged; "
                "a damaged one may be moved away while no process of this home runs."
            ) from error
        except (SQLAlchemyError, OSError) as error:
            raise StoreFailed(f"The log {self.path} failed: {error}.") from error


@contextmanager
def _turn(connection: Connection) -> Iterator[None]:
    """A transaction that begins as a writer."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        yield
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        if _raw(connection).in_transaction:
            connection.exec_driver_sql("ROLLBACK")
        raise


@contextmanager
def _limited(connection: Connection) -> Iterator[None]:
    give_up_at = time.monotonic() + READ_LIMIT_S
    raw = _raw(connection)
    raw.set_progress_handler(lambda: time.monotonic() > give_up_at, _LOOKED_AT_EVERY)
    try:
        yield
    finally:
        raw.set_progress_handler(None, 0)


def _raw(connection: Connection) -> sqlite3.Connection:
    found = connection.connection.driver_connection
    if not isinstance(found, sqlite3.Connection):
        raise TypeError(f"the log is no SQLite file: {type(found)}")
    return found


def _layout(connection: Connection) -> int:
    return int(connection.execute(text("PRAGMA user_version")).scalar_one())


def _set_pragmas(raw: sqlite3.Connection, _record: object) -> None:
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "cache_size=-16000",
        "mmap_size=268435456",
        "temp_store=MEMORY",
        "secure_delete=ON",
        # 40 MB: most batches touch the same pages of the indexes, and only moving them into the file waits
        # for the disk.
        "wal_autocheckpoint=10000",
        "journal_size_limit=67108864",
    ):
        raw.execute(f"PRAGMA {pragma}").close()
