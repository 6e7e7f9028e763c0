"""Failing loops: told once for each trouble, and when it is over."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs
from tests.support.failures import Failures

from ragstone.errors import DeadlineExceeded, StoreFailed
from ragstone.ingest import trouble
from ragstone.ingest.trouble import Rounds


def go(rounds: Rounds, *errors: Exception | None, operation: str = "claim") -> None:
    """A round for each: it fails so, or goes well."""
    for error in errors:
        with rounds.round(operation):
            if error is not None:
                raise error


def test_a_row_of_failures_is_one_error_until_it_goes_well() -> None:
    """Another kind, another loop, and the next row are told again."""
    failures = Failures()
    rounds = Rounds(failures, "worker")
    locked = StoreFailed("The database is locked.")
    with capture_logs() as logs:
        go(rounds, locked, locked, DeadlineExceeded("Late."), locked, None, None, locked)
        go(rounds, locked, operation="tidy")

    assert failures.noted == [
        ("worker", "claim", "StoreFailed"),
        ("worker", "claim", "DeadlineExceeded"),
        ("worker", "claim", "StoreFailed"),
        ("worker", "claim", "StoreFailed"),
        ("worker", "tidy", "StoreFailed"),
    ]
    assert [line["event"] for line in logs].count("rounds_go_well_again") == 1


def test_a_long_row_is_told_of_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """With how many rounds it has been."""
    monkeypatch.setattr(trouble, "TOLD_EVERY", 3)
    with capture_logs() as logs:
        go(Rounds(Failures(), "sync"), *[StoreFailed("Full.")] * 7)

    assert [line["failed"] for line in logs if line["event"] == "rounds_still_fail"] == [3, 6]


def test_cancelling_is_no_failure() -> None:
    """It goes through: the loop is to end."""
    failures = Failures()
    with pytest.raises(KeyboardInterrupt), Rounds(failures, "worker").round("claim"):
        raise KeyboardInterrupt

    assert failures.noted == []
