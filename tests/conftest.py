"""Fixtures for every test: the event loop, the data folder, a home."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog

from tests.support.waiting import wait_for_a_day

hypothesis.settings.register_profile("default", deadline=None, max_examples=60, derandomize=True)
hypothesis.settings.register_profile("nightly", deadline=None, max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("RAGSTONE_PROFILE", "default"))


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the product does."""
    return "asyncio"


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The public test data at $RAGSTONE_DATA; in CI its absence is a failure, elsewhere a skip."""
    folder = os.environ.get("RAGSTONE_DATA")
    if folder and Path(folder).is_dir():
        return Path(folder)
    message = f"the test data is not at $RAGSTONE_DATA ({folder!r})"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the person who runs the tests reaches the product."""
    for name in list(os.environ):
        if name.startswith("RAGSTONE_") and name not in (
            "RAGSTONE_DATA",
            "RAGSTONE_PROFILE",
            "RAGSTONE_MODEL_WHEEL",
        ):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _default_logs() -> Iterator[None]:
    """What one test sets up for logs does not filter the next one's."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


@pytest.fixture
def one_day() -> None:
    """The test does not begin so late that its day (UTC) ends before it."""
    wait_for_a_day(120.0)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder of the test's own."""
    return tmp_path / "home"
