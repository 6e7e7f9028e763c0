"""What the tests of ingestion share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ragstone.ingest.limits import ParsingLimits
from ragstone.ingest.parse import DocumentParser, build_parser


@pytest.fixture
def anyio_backend() -> str:
    """The server runs on asyncio."""
    return "asyncio"


@pytest.fixture
async def parser() -> AsyncIterator[DocumentParser]:
    """The parser as the server builds it, with one process."""
    built = build_parser(ParsingLimits())
    yield built
    await built.aclose()
