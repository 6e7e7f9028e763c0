"""Documents while others change them, too."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ragstone.config import load
from ragstone.deadline import Deadline
from ragstone.errors import DocumentNotFound
from ragstone.ingest.request import IngestRequest
from ragstone.models.fakes import HashEmbedder
from ragstone.runtime.engine import open_engine
from ragstone.types import RawFile

pytestmark = pytest.mark.anyio

ROUNDS = 20


async def test_an_edit_that_was_stored_is_never_called_not_found(tmp_path: Path) -> None:
    """Also when a removal that waited for its turn comes right behind it; what it removed tells."""
    edits = 0
    async with open_engine(load(tmp_path, environ={}), HashEmbedder()) as engine:
        for _ in range(ROUNDS):
            file = RawFile(b"The heron waits.", "heron.md")
            added = await engine.documents.add(IngestRequest(file, title="Old"), Deadline.never())

            edit, receipt = await asyncio.gather(
                engine.documents.edit(added.document_id, "New", None),
                engine.documents.remove(added.document_id),
                return_exceptions=True,
            )

            assert not isinstance(receipt, BaseException)
            was_stored = receipt.documents[0].title == "New"
            assert was_stored != isinstance(edit, DocumentNotFound)
            edits += was_stored
    assert edits, "an edit must have its turn before a removal"
