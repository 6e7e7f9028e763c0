"""One real server for all HTTP tests; each test works in collections of its own."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import httpx2
import pytest

from tests.support.process import Server, running_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on an empty home."""
    with running_server(tmp_path_factory.mktemp("http") / "home") as server:
        yield server


@pytest.fixture
def client(server: Server) -> httpx2.Client:
    """A client of that server."""
    return server.client


@pytest.fixture
def collection() -> str:
    """A collection name that no other test uses."""
    return f"c-{uuid4().hex[:12]}"
