"""No original stays that nothing names, whoever left, failed or was killed."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.support.corpus import EMBEDDER, open_parts, open_store

from ragstone.deadline import Deadline
from ragstone.errors import Overloaded, StoreFailed
from ragstone.ingest.checkpoint import NoCheckpoint
from ragstone.ingest.originals import Originals, content_hash
from ragstone.ingest.parse import DocumentParser
from ragstone.ingest.pipeline import IngestPipeline
from ragstone.ingest.request import IngestRequest
from ragstone.settings import IngestSettings
from ragstone.store.blobs import Blobs
from ragstone.telemetry.stages import StageTimer
from ragstone.types import RawFile

pytestmark = pytest.mark.anyio

LIMIT_S = 30.0


class SlowBlobs(Blobs):
    """Writes when it is let."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.is_writing, self.may_write = threading.Event(), threading.Event()
        self.has_written = threading.Event()

    def put(self, content: bytes) -> str:
        """Keep the bytes, after a while."""
        self.is_writing.set()
        assert self.may_write.wait(LIMIT_S)
        name = super().put(content)
        self.has_written.set()
        return name


async def test_an_add_that_is_cut_off_while_its_original_is_written_leaves_none(
    tmp_path: Path, parser: DocumentParser
) -> None:
    """The thread that writes cannot be stopped: what it wrote is removed after it."""
    async with open_parts(tmp_path) as parts:
        blobs = SlowBlobs(tmp_path / "blobs")
        originals = Originals(parts.database, blobs)
        pipeline = IngestPipeline(parts.database, parts.writer, parser, EMBEDDER, originals, IngestSettings())
        request = IngestRequest(RawFile(b"The heron waits.", "heron.md", None), is_original_kept=True)
        adding = asyncio.create_task(
            pipeline.run(request, Deadline.never(), StageTimer("ingest"), NoCheckpoint())
        )
        assert await asyncio.to_thread(blobs.is_writing.wait, LIMIT_S)

        adding.cancel()
        asyncio.get_running_loop().call_soon(blobs.may_write.set)
        with pytest.raises(asyncio.CancelledError):
            await adding
        assert await asyncio.to_thread(blobs.has_written.wait, LIMIT_S)

        assert await parts.database.corpus_version() == 0
        assert list(blobs.names()) == []


async def test_what_could_not_be_dropped_is_dropped_later(tmp_path: Path) -> None:
    """Another process holds the write lock: the caller hears of it, and the next round removes the file."""
    async with open_store(tmp_path / "a.db", busy_timeout_s=0.05) as database:
        originals = Originals(database, Blobs(tmp_path / "blobs"))
        name = originals.blobs.put(b"The heron waits.")
        with locked(tmp_path / "a.db"), pytest.raises((StoreFailed, Overloaded)):
            await originals.drop({name})
        assert list(originals.blobs.names()) == [name]

        await originals.drop_left()

        assert list(originals.blobs.names()) == []


async def test_a_change_is_not_undone_because_its_original_stays(tmp_path: Path) -> None:
    """What was done inside is done; the file goes with the next round."""
    async with open_store(tmp_path / "a.db", busy_timeout_s=0.05) as database:
        originals = Originals(database, Blobs(tmp_path / "blobs"))
        with locked(tmp_path / "a.db"):
            async with originals.dropping() as spare:
                spare.add(originals.blobs.put(b"The heron waits."))

        await originals.drop_left()

        assert list(originals.blobs.names()) == []


async def test_a_sweep_finds_what_a_killed_process_left(tmp_path: Path, parser: DocumentParser) -> None:
    """Half written files and such without a row; a document's original stays."""
    async with open_parts(tmp_path) as parts:
        originals = Originals(parts.database, Blobs(tmp_path / "blobs"))
        pipeline = IngestPipeline(parts.database, parts.writer, parser, EMBEDDER, originals, IngestSettings())
        request = IngestRequest(RawFile(b"The heron waits.", "heron.md", None), is_original_kept=True)
        await pipeline.run(request, Deadline.never(), StageTimer("ingest"), NoCheckpoint())
        orphan = originals.blobs.put(b"The fox waits.")
        half = originals.blobs.path(orphan).with_name(".new-half")
        half.write_bytes(b"The fox")

        await originals.recover()

        assert list(originals.blobs.names()) == [content_hash(b"The heron waits.")]
        assert not half.exists()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another connection holds the write lock."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
