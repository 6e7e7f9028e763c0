"""The schema on disk is the schema of the tables, and only a database of this product is opened."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from anyio import to_thread
from sqlalchemy import create_engine
from tests.support.corpus import collection_named, document, open_store, store_collection

import ragstone.store.answer_traces  # noqa: F401 - its table is part of the schema
from ragstone.errors import HomeMismatch, StoreFailed
from ragstone.settings import StoreSettings
from ragstone.store.chunk_figures import collection_figures
from ragstone.store.collections import find_collections
from ragstone.store.database import HEAD, MIGRATIONS, integrity_problems, open_database
from ragstone.store.documents import put_document
from ragstone.store.tables import metadata
from ragstone.types import DEFAULT_TENANT, LOCAL_OWNER

pytestmark = pytest.mark.anyio
SETTINGS = StoreSettings()
LIMIT_S = 30.0


@pytest.fixture(autouse=True)
async def _threads_end() -> AsyncIterator[None]:
    """The threads of connections that failed to open end before their loop does."""
    others = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - others:
        if "_connection_worker_thread" in thread.name:
            await to_thread.run_sync(thread.join, LIMIT_S)


async def test_head_is_the_newest_script() -> None:
    """The constant that spares the import of Alembic names the last migration."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")

    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


async def test_migrations_make_exactly_the_tables(tmp_path: Path) -> None:
    """Tables, columns, types, indexes and constraints after migration are those of tables.py."""
    async with open_store(tmp_path / "a.db"):
        pass
    engine = create_engine(f"sqlite:///{tmp_path / 'a.db'}")

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, metadata)
    engine.dispose()

    assert differences == []


async def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    """The epoch and the version survive, and the second opening needs no migration."""
    async with open_store(tmp_path / "a.db") as database:
        epoch = await database.epoch()

    async with open_store(tmp_path / "a.db") as database:
        assert await database.epoch() == epoch
        assert await database.corpus_version() == 0
        assert await integrity_problems(database) == []


async def test_collections_of_the_first_schema_are_cut_by_structure(tmp_path: Path) -> None:
    """What a home held before strategies and token counts is kept, and says what it does not know."""
    path = tmp_path / "a.db"
    async with open_store(path) as database, database.write() as connection:
        collection = await store_collection(connection, collection_named("books"))
        new = document("text of a book", document_id="book")
        await put_document(connection, collection.id, new, None)
    await to_thread.run_sync(_downgrade, path, "0001")
    with sqlite3.connect(path) as old:
        assert "chunk_strategy" not in str(old.execute("SELECT sql FROM sqlite_master").fetchall())
    old.close()

    async with open_store(path) as database, database.read() as connection:
        (found,) = await find_collections(connection, DEFAULT_TENANT)
        figures = await collection_figures(connection, LOCAL_OWNER, found.id)

    assert found.chunking == collection.chunking
    assert dict(figures.chunks_by_tokens) == {None: 1}


def _downgrade(path: Path, revision: str) -> None:
    engine = create_engine(f"sqlite:///{path}")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
    engine.dispose()


async def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    """A revision that this version does not know is left alone, with a sentence that says why."""
    path = tmp_path / "a.db"
    async with open_store(path):
        pass
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()

    with pytest.raises(HomeMismatch, match=r"9999.*newer Ragstone"):
        await open_database(path, SETTINGS)

    kept = sqlite3.connect(path)
    assert kept.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)
    kept.close()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """The message names the file, and the file is not touched."""
    path = tmp_path / "a.db"
    path.write_bytes(b"This is a diary." * 200)

    with pytest.raises(HomeMismatch, match=r"a\.db is damaged or not a Ragstone database"):
        await open_database(path, SETTINGS)

    assert path.read_bytes() == b"This is a diary." * 200


async def test_a_database_that_cannot_be_opened_is_a_store_failure(tmp_path: Path) -> None:
    """A folder in its place is named in the error."""
    (tmp_path / "a.db").mkdir()

    with pytest.raises(StoreFailed, match=r"a\.db"):
        await open_database(tmp_path / "a.db", SETTINGS)


async def test_a_write_that_waits_too_long_for_another_process_fails(tmp_path: Path) -> None:
    """A lock that is not given up within store.busy_timeout_s is a retryable failure, not a hang."""
    async with open_store(tmp_path / "a.db"):
        pass
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    database = await open_database(tmp_path / "a.db", StoreSettings(busy_timeout_s=0.05))
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreFailed, match="locked") as failure:
        async with database.write():
            pass

    assert failure.value.retryable
    other.close()
    await database.aclose()
