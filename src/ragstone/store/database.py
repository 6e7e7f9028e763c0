"""The SQL database: one writer, many readers, migrations at open.

SQLite runs in WAL mode with `synchronous=FULL`: what a commit acknowledged survives a power cut. Reads
are autocommit: one statement is one snapshot. Writes take the one writer connection and begin IMMEDIATE,
so that no transaction fails half way because another process wrote first.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread
from sqlalchemy import Connection, event, func, insert, inspect, select, text, update
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, SQLAlchemyError, TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from ragstone.errors import HomeMismatch, InvalidRequest, Overloaded, StoreFailed, StoreFull
from ragstone.settings import StoreSettings
from ragstone.store.statements import watch_statements
from ragstone.store.tables import collections, corpus, meta
from ragstone.store.version_watch import CorpusState, VersionWatch
from ragstone.types import CollectionId

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection

    from ragstone.telemetry.metrics import Metrics

StoreConnection = AsyncConnection
"""What a read or write block holds; rooms above the store name it by this."""

MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "0008"
"""The newest migration; a test compares it with the scripts."""
CORPUS_ROW = 1


@dataclass(frozen=True, slots=True)
class PoolFigures:
    """The connections of one process at this moment."""

    size: int
    """Readers that are kept open."""
    max_overflow: int
    in_use: int
    overflow: int
    """Readers open beyond `size`."""
    writes_waiting: int
    is_writing: bool


class Database:
    """The open database of one home. Build with `open_database`."""

    def __init__(
        self,
        path: Path,
        reader: AsyncEngine,
        writer: AsyncEngine,
        settings: StoreSettings,
        metrics: Metrics | None = None,
    ) -> None:
        self.path = path
        self._metrics = metrics
        self._reader = reader
        self._writer = writer
        self._settings = settings
        self._write_turn = asyncio.Lock()
        self._writes_waiting = 0
        self._watch: VersionWatch | None = None
        self._opening = asyncio.Lock()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection whose every statement sees one committed state.

        Raises:
            StoreFailed: the database does not answer.
            Overloaded: no connection became free in time.
        """
        with _Translated(self.path, self._metrics):
            async with self._reader.connect() as connection:
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """The writer connection inside a transaction: committed at the end, rolled back on any error.

        Raises:
            StoreFailed: the database is locked for longer than `store.busy_timeout_s`, full or gone.
            Overloaded: the writes before this one took longer than that.
        """
        asked = time.perf_counter()
        async with self._turn():
            with _Translated(self.path, self._metrics):
                async with self._writer.begin() as connection:
                    began = time.perf_counter()
                    yield connection
            if self._metrics is not None:
                self._metrics.observe_write(began - asked, time.perf_counter() - began)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """This process's turn to write; behind a locked file the waits do not add up."""
        limit_s = self._settings.busy_timeout_s
        self._writes_waiting += 1
        try:
            async with asyncio.timeout(limit_s):
                await self._write_turn.acquire()
        except TimeoutError as error:
            if self._metrics is not None:
                self._metrics.database_errors.labels("WriteTurnTimeout").inc()
            raise Overloaded(
                f"The writes before this one took longer than {limit_s:g} s (store.busy_timeout_s); "
                "try again in a moment."
            ) from error
        finally:
            self._writes_waiting -= 1
        try:
            yield
        finally:
            self._write_turn.release()

    def pool_figures(self) -> PoolFigures:
        """How busy the connections are."""
        pool = self._reader.sync_engine.pool
        if not isinstance(pool, QueuePool):
            raise TypeError(f"the readers' pool is {type(pool).__name__}, which has no size")

        return PoolFigures(
            size=pool.size(),
            max_overflow=self._settings.max_overflow,
            in_use=pool.checkedout(),
            overflow=max(0, pool.overflow()),
            writes_waiting=self._writes_waiting,
            is_writing=self._write_turn.locked(),
        )

    async def corpus_version(self) -> int:
        """The version of the newest committed change."""
        async with self.read() as connection:
            return int((await connection.execute(select(corpus.c.version))).scalar_one())

    async def corpus_state(self) -> CorpusState:
        """The newest commit's version and the epoch, read in microseconds: meant for every request."""
        watch = self._watch or await self._opened_watch()
        return watch.read() or CorpusState(await self.corpus_version(), await self.epoch())

    async def _opened_watch(self) -> VersionWatch:
        async with self._opening:
            if self._watch is None:
                self._watch = await to_thread.run_sync(_open_watch, self.path)
            return self._watch

    async def newest_change(self, ids: Iterable[CollectionId]) -> int:
        """The version of the newest committed change of these collections."""
        found = select(func.coalesce(func.max(collections.c.version), 0)).where(collections.c.id.in_(ids))
        async with self.read() as connection:
            return int((await connection.execute(found)).scalar_one())

    async def epoch(self) -> str:
        """The random name of this incarnation of the data."""
        async with self.read() as connection:
            found = await connection.execute(select(meta.c.value).where(meta.c.name == "epoch"))
            return str(found.scalar_one())

    async def renew_epoch(self) -> str:
        """A new name for this incarnation: derived files of before are not trusted any more."""
        epoch = secrets.token_hex(16)
        async with self.write() as connection:
            await connection.execute(update(meta).where(meta.c.name == "epoch").values(value=epoch))
        return epoch

    async def empty_log(self) -> bool:
        """Move the write-ahead log into the database file and cut it to nothing; False while others read it.

        What was deleted is overwritten in the file (`secure_delete`); the log would hold it until it is full.
        """
        async with self.read() as connection:
            busy, _, _ = (await connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))).one()
        return not busy

    async def aclose(self) -> None:
        """Close every connection; shielded, so that a cancelled caller leaks none."""
        with anyio.CancelScope(shield=True):
            if self._watch is not None:
                self._watch.close()
            await self._reader.dispose()
            await self._writer.dispose()


async def raise_version(connection: AsyncConnection) -> int:
    """Count one more change; call it as the last statement but those that store its result."""
    raised = update(corpus).where(corpus.c.id == CORPUS_ROW).values(version=corpus.c.version + 1)
    return int((await connection.execute(raised.returning(corpus.c.version))).scalar_one())


async def open_database(path: Path, settings: StoreSettings, metrics: Metrics | None = None) -> Database:
    """Open (and create or migrate) the SQLite database at `path`.

    Raises:
        HomeMismatch: the file is not a database, or a newer Ragstone wrote it.
        StoreFailed: it cannot be opened.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = _engine(path, settings, is_writer=True)
    reader = _engine(path, settings, is_writer=False)
    database = Database(path, reader, writer, settings, metrics)
    try:
        with _Translated(path):
            async with writer.begin() as connection:
                await connection.run_sync(_migrate)
                await _ensure_rows(connection)
    except BaseException:
        await database.aclose()
        raise
    return database


def _open_watch(path: Path) -> VersionWatch:
    """With a first look, which opens the file and its log."""
    watch = VersionWatch(path)
    watch.read()
    return watch


def now(ahead_s: float = 0.0) -> str:
    """The present time, or `ahead_s` seconds later, as stored: ISO 8601, UTC, microseconds; sorts by time."""
    return (datetime.now(UTC) + timedelta(seconds=ahead_s)).isoformat(timespec="microseconds")


def _engine(path: Path, settings: StoreSettings, *, is_writer: bool) -> AsyncEngine:
    url = f"sqlite+aiosqlite:///{path}"
    connect_args = {"timeout": settings.busy_timeout_s, "isolation_level": None}
    # The parameters of a failed statement are users' texts, and its exception goes to the log.
    if is_writer:
        engine = create_async_engine(
            url, connect_args=connect_args, pool_size=1, max_overflow=0, hide_parameters=True
        )
        event.listen(engine.sync_engine, "begin", _begin_immediate)
    else:
        engine = create_async_engine(
            url,
            connect_args=connect_args,
            hide_parameters=True,
            isolation_level="AUTOCOMMIT",
            pool_size=settings.pool_size,
            max_overflow=settings.max_overflow,
            pool_recycle=settings.pool_recycle_s,
            # No pre-ping: a file does not hang up, and asking took 0.19 ms of a 0.44 ms read (November 2026).
            pool_timeout=settings.pool_timeout_s,
            pool_reset_on_return=None,
        )
    event.listen(engine.sync_engine, "connect", _set_pragmas)
    event.listen(engine.sync_engine, "handle_error", _keep_connection_when_cancelled)
    watch_statements(engine.sync_engine)
    return engine


def _set_pragmas(dbapi_connection: DBAPIConnection, _record: object) -> None:
    cursor = dbapi_connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "cache_size=-16000",
        "mmap_size=268435456",
        "temp_store=MEMORY",
        "secure_delete=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _keep_connection_when_cancelled(context: ExceptionContext) -> None:
    """A cancelled statement is no broken connection.

    SQLAlchemy would drop it without a rollback, and SQLite would stay locked until the garbage collector
    found it: for every process.
    """
    if isinstance(context.original_exception, asyncio.CancelledError):
        context.is_disconnect = False


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _migrate(connection: Connection) -> None:
    # Alembic takes 0.2 s to import: it is not needed when the database is already where it should be.
    current = _revision(connection)
    if current == HEAD:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    if current is not None and current not in {revision.revision for revision in scripts.walk_revisions()}:
        raise HomeMismatch(
            f"The database is at revision {current!r}, which this version does not know: "
            "a newer Ragstone wrote it. Upgrade Ragstone or use another --home."
        )
    command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


async def _ensure_rows(connection: AsyncConnection) -> None:
    if (await connection.execute(select(corpus.c.id))).first() is None:
        await connection.execute(insert(corpus).values(id=CORPUS_ROW, version=0, last_chunk_key=0))
        await connection.execute(insert(meta).values(name="epoch", value=secrets.token_hex(16)))


class _Translated:
    """Turns the driver's exceptions into ours; a context manager without a frame of its own."""

    def __init__(self, path: Path, metrics: Metrics | None = None) -> None:
        self._path = path
        self._metrics = metrics

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, SQLAlchemyError) and self._metrics is not None:
            self._metrics.database_errors.labels(type(error).__name__).inc()
        if isinstance(error, PoolTimeout):
            raise Overloaded(
                "Every database connection was in use for store.pool_timeout_s; try again in a moment, or "
                "raise store.pool_size."
            ) from error
        if isinstance(error, DBAPIError):
            reason = str(error.orig)
            if "not a database" in reason or "malformed" in reason:
                raise HomeMismatch(
                    f"{self._path} is damaged or not a Ragstone database ({reason}); "
                    "restore it from a backup or use another --home."
                ) from error
            if "disk is full" in reason:
                raise StoreFull(
                    f"There is no room left for the database {self._path} ({reason}); free some on its disk. "
                    "What is stored already can be read meanwhile."
                ) from error
            raise StoreFailed(f"The database {self._path} failed: {reason}.") from error
        if isinstance(error, UnicodeEncodeError):
            raise InvalidRequest(f"A value is not Unicode text: {error.object!r}.") from error
        if isinstance(error, SQLAlchemyError):
            raise StoreFailed(f"The database {self._path} failed: {error}.") from error


async def integrity_problems(database: Database) -> list[str]:
    """What SQLite itself finds wrong with the file: broken pages and rows without their parents."""
    async with database.read() as connection:
        pages = (await connection.execute(text("PRAGMA integrity_check(20)"))).scalars().all()
        orphans = (await connection.execute(text("PRAGMA foreign_key_check"))).all()
    found = [str(line) for line in pages if line != "ok"]
    return found + [f"a row of {row[0]} points to a missing row of {row[2]}" for row in orphans]
