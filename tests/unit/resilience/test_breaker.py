"""What counts against a dependency, and what its breaker tells."""

from __future__ import annotations

import asyncio

import pytest

from ragstone.errors import BreakerOpen, EmbeddingFailed, InvalidRequest
from ragstone.resilience.breaker import Breaker, BreakerRules, Breakers

RULES = BreakerRules(failures=2, open_s=60.0)


def fail(breaker: Breaker, error: BaseException) -> None:
    """One call that ends with the error."""
    with pytest.raises(type(error)), breaker.call():
        raise error


def test_only_failures_of_the_dependency_count() -> None:
    """A wrong request, a caller who leaves: neither opens it, nor mends what was counted."""
    breaker = Breaker("part", RULES)
    fail(breaker, EmbeddingFailed("broken"))
    for error in (InvalidRequest("too long"), asyncio.CancelledError(), KeyboardInterrupt()):
        fail(breaker, error)
    assert breaker.state == "closed"

    fail(breaker, EmbeddingFailed("broken again"))

    assert (breaker.state, breaker.reason) == ("open", "broken again")


def test_an_open_breaker_tells_why_and_how_long() -> None:
    """The refusal has the reason and the rest of the pause; figures count what happened."""
    now = 0.0
    breakers = Breakers(RULES, clock=lambda: now)
    breaker = breakers.add("embedder")
    fail(breaker, EmbeddingFailed("no answer"))
    fail(breaker, EmbeddingFailed("no answer"))
    now = 20.0

    with pytest.raises(BreakerOpen, match=r"embedder is left alone .*no answer.*in 40 s") as caught:
        breaker.admit()

    assert caught.value.retryable
    (figures,) = breakers.figures()
    assert (figures.state, figures.failures, figures.opened, figures.refused) == ("open", 2, 1, 1)
    assert figures.retry_in_s == 40.0


def test_a_permit_is_told_once() -> None:
    """What is said after the first word on a call changes nothing."""
    breaker = Breaker("part", BreakerRules(failures=1))
    permit = breaker.admit()
    permit.failed("broken")
    permit.succeeded()

    assert breaker.state == "open"
    assert breaker.figures().failures == 1


def test_what_was_begun_before_the_change_does_not_count_after_it() -> None:
    """A call of before the opening neither closes the breaker, nor opens it anew, nor is the probe."""
    now = 0.0
    breaker = Breaker("part", BreakerRules(failures=1, open_s=10.0), clock=lambda: now)
    late_success, late_failure, later_success = breaker.admit(), breaker.admit(), breaker.admit()
    breaker.admit().failed("broken")
    now = 9.0
    late_success.succeeded()
    late_failure.failed("broken, too")
    now = 10.0
    assert breaker.figures().state == "half_open"
    probe = breaker.admit()

    later_success.succeeded()

    assert breaker.figures().state == "half_open"
    with pytest.raises(BreakerOpen):
        breaker.admit()
    probe.succeeded()
    assert breaker.figures().state == "closed"
