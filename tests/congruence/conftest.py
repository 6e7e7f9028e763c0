"""The same home behind every door."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from ragstone import Ragstone
from tests.support.process import Server, running_server


@dataclass(frozen=True, slots=True)
class Doors:
    """A home, a server on it, and the library in this process."""

    home: Path
    server: Server
    library: Ragstone

    @property
    def client(self) -> httpx2.Client:
        """The HTTP door."""
        return self.server.client


@pytest.fixture(scope="session")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """One home, opened by two processes."""
    home = tmp_path_factory.mktemp("congruence") / "home"
    with running_server(home) as server, Ragstone(home) as library:
        yield Doors(home, server, library)
