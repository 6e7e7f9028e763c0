"""What the tests of ingestion share."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ragstone.ingest.limits import ParsingLimits
from ragstone.ingest.parse import DocumentParser, build_parser


@pytest.fixture
def anyio_backend() -> str:
    """The server runs on asyncio."""
    return "asyncio"


@pytest.fixture
def data() -> Path:
    """The folder of real and hostile files; where it is missing, only CI fails."""
    folder = os.environ.get("RAGSTONE_DATA")
    if not folder or not Path(folder, "files").is_dir():
        if os.environ.get("CI"):
            pytest.fail("RAGSTONE_DATA must name the folder of test data")
        pytest.skip("RAGSTONE_DATA names no folder of test data")
    return Path(folder)


@pytest.fixture
async def parser() -> AsyncIterator[DocumentParser]:
    """The parser as the server builds it, with one process."""
    built = build_parser(ParsingLimits())
    yield built
    await built.aclose()
