"""What tests of faults have in common."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.process import uncounted


@pytest.fixture(scope="module", autouse=True)
def _servers_are_uncounted() -> Iterator[None]:
    """What servers run here is counted by the tests of their doors."""
    with uncounted():
        yield
