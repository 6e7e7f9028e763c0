"""One deadline per request, counted on one clock."""

from __future__ import annotations

import math

import pytest

from ragstone.deadline import Deadline
from ragstone.errors import DeadlineExceeded


class Clock:
    """A clock that goes when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_time_runs_down_and_stops_at_zero() -> None:
    """What remains falls with the clock and never below nothing."""
    clock = Clock()
    deadline = Deadline.after(5.0, clock)
    assert (deadline.remaining_s, deadline.is_over) == (5.0, False)

    clock.now += 3
    assert deadline.remaining_s == 2.0

    clock.now += 2
    assert (deadline.remaining_s, deadline.is_over) == (0.0, True)
    clock.now += 100
    assert deadline.remaining_s == 0.0


def test_a_stage_gets_its_limit_or_what_is_left() -> None:
    """Whichever is less."""
    clock = Clock()
    deadline = Deadline.after(5.0, clock)

    assert deadline.at_most(1.0) == 1.0
    clock.now += 4.5
    assert deadline.at_most(1.0) == 0.5


def test_a_stage_that_begins_too_late_is_named() -> None:
    """The error says what was given, what did not begin, and may be retried."""
    clock = Clock()
    deadline = Deadline.after(2.0, clock)
    deadline.check("search")
    clock.now += 2

    with pytest.raises(DeadlineExceeded, match=r"2 s given.*before search") as failure:
        deadline.check("search")

    assert failure.value.retryable
    assert failure.value.details == {"stage": "search"}


def test_never_does_not_come() -> None:
    """Work without a caller has no end but its own limits."""
    never = Deadline.never()

    assert never.remaining_s == math.inf
    assert never.at_most(3.0) == 3.0
    never.check("anything")
