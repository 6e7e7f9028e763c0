"""Originals of callers who left: no file stays that no document keeps."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from tests.support.corpus import EMBEDDER, open_parts

from ragstone.deadline import Deadline
from ragstone.ingest.checkpoint import NoCheckpoint
from ragstone.ingest.parse import DocumentParser
from ragstone.ingest.pipeline import IngestPipeline
from ragstone.ingest.request import IngestRequest
from ragstone.settings import IngestSettings
from ragstone.store.blobs import Blobs
from ragstone.telemetry.stages import StageTimer
from ragstone.types import RawFile

pytestmark = pytest.mark.anyio

LIMIT_S = 5.0


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
        pipeline = IngestPipeline(parts.database, parts.writer, parser, EMBEDDER, blobs, IngestSettings())
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
