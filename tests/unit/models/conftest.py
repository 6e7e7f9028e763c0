"""What the tests of models share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ragstone.models.encoder import SentenceEncoder
from ragstone.models.local import load_encoder

# The build's own package lies beside src and is not installed.
sys.path.insert(0, str(Path(__file__).parents[3]))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The server runs on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def bundled() -> SentenceEncoder:
    """The bundled model on its default runtime."""
    return load_encoder()
