"""What the tests of models share."""

from __future__ import annotations

import pytest

from ragstone.models.encoder import SentenceEncoder
from ragstone.models.local import load_encoder


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The server runs on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def bundled() -> SentenceEncoder:
    """The bundled model on its default runtime."""
    return load_encoder()
