"""A circuit breaker: a dependency that failed a few times in a row is left alone for a while.

Closed, calls go through and failures in a row are counted. Open, calls are refused at once. When the pause
is over the breaker is half open: one call tries the dependency while the others are still refused, and what
becomes of that call closes the breaker or opens it again.

Source of the pattern: Nygard, "Release It!", 2nd edition, 2018, chapter 5.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import structlog

from ragstone.deadline import Clock
from ragstone.errors import BreakerOpen, DependencyFailed

log = structlog.get_logger(__name__)

BreakerState = Literal["closed", "open", "half_open"]
STATES: tuple[BreakerState, ...] = ("closed", "open", "half_open")
Outcome = Literal["succeeded", "failed", "abandoned"]


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """When to leave a dependency alone, and for how long."""

    failures: int = 5
    """In a row."""
    open_s: float = 60.0


@dataclass(frozen=True, slots=True)
class BreakerFigures:
    """A breaker at this moment, with what it has counted since it was made."""

    name: str
    state: BreakerState
    failures: int
    opened: int
    refused: int
    reason: str | None
    """Why it is not closed."""
    retry_in_s: float
    """Until the next call may try; 0 unless it is open."""


class Permit:
    """Leave to make one call; the first word on what became of it counts, later ones change nothing."""

    __slots__ = ("_breaker", "_is_told", "_round", "is_probe")

    def __init__(self, breaker: Breaker, round_number: int, *, is_probe: bool) -> None:
        self._breaker = breaker
        self._round = round_number
        self._is_told = False
        self.is_probe = is_probe

    def succeeded(self) -> None:
        """The dependency did its work."""
        self._tell("succeeded")

    def failed(self, reason: str) -> None:
        """The dependency did not do its work."""
        self._tell("failed", reason)

    def abandoned(self) -> None:
        """Nothing was learnt of the dependency: the caller left, or its request was wrong."""
        self._tell("abandoned")

    def _tell(self, outcome: Outcome, reason: str = "") -> None:
        if not self._is_told:
            self._is_told = True
            self._breaker.settle(self._round, outcome, reason)


class Breaker:
    """The breaker of one dependency. Belongs to one event loop; its calls never wait."""

    def __init__(self, name: str, rules: BreakerRules, clock: Clock = time.monotonic) -> None:
        self.name = name
        self._rules = rules
        self._clock = clock
        self._in_a_row = 0
        self._retry_at: float | None = None
        """None while closed."""
        self._is_probing = False
        self._reason = ""
        self._round = 0
        """Rises with every change of state: what was begun before it is not counted after it."""
        self._failures = self._opened = self._refused = 0

    @property
    def state(self) -> BreakerState:
        """Half open from the end of the pause until a call has shown how the dependency is."""
        if self._retry_at is None:
            return "closed"
        return "half_open" if self._is_probing or self._clock() >= self._retry_at else "open"

    @property
    def reason(self) -> str | None:
        """The failure for which the dependency is left alone; None while closed."""
        return None if self._retry_at is None else self._reason

    def figures(self) -> BreakerFigures:
        """State and counts."""
        left_s = 0.0 if self._retry_at is None else max(0.0, self._retry_at - self._clock())
        return BreakerFigures(
            self.name, self.state, self._failures, self._opened, self._refused, self.reason, round(left_s, 3)
        )

    def admit(self) -> Permit:
        """Leave for one call.

        Raises:
            BreakerOpen: the dependency is left alone, or another call is trying it.
        """
        if self._retry_at is None:
            return Permit(self, self._round, is_probe=False)
        if self._is_probing or self._clock() < self._retry_at:
            self._refused += 1
            raise BreakerOpen(
                f"The {self.name} is left alone after failures ({self._reason}); it is tried again in "
                f"{max(0.0, self._retry_at - self._clock()):.0f} s."
            )
        self._is_probing = True
        self._round += 1
        return Permit(self, self._round, is_probe=True)

    @contextmanager
    def call(self, counted: tuple[type[Exception], ...] = (DependencyFailed,)) -> Iterator[None]:
        """Around one call: errors of the `counted` kinds are the dependency's, all others the caller's.

        Cancellation counts for nothing.

        Raises:
            BreakerOpen: as `admit`.
        """
        permit = self.admit()
        try:
            yield
        except counted as error:
            permit.failed(str(error))
            raise
        except BaseException:
            permit.abandoned()
            raise
        permit.succeeded()

    def settle(self, round_number: int, outcome: Outcome, reason: str) -> None:
        """What became of a call of that round: permits say it."""
        self._failures += outcome == "failed"
        if round_number != self._round:
            return
        was_probe, self._is_probing = self._is_probing, False
        if outcome == "succeeded":
            self._in_a_row = 0
            if was_probe:
                self._close()
        elif outcome == "failed":
            self._in_a_row += 1
            self._reason = reason
            if was_probe or self._in_a_row >= self._rules.failures:
                self._open()

    def _open(self) -> None:
        is_new = self._retry_at is None
        self._round += 1
        self._opened += 1
        self._retry_at = self._clock() + self._rules.open_s
        if is_new:
            log.warning(
                "breaker_opened", dependency=self.name, reason=self._reason, retry_s=self._rules.open_s
            )

    def _close(self) -> None:
        self._round += 1
        self._retry_at = None
        log.info("breaker_closed", dependency=self.name)


class Breakers:
    """Every breaker of one engine, for health and metrics."""

    def __init__(self, rules: BreakerRules | None = None, clock: Clock = time.monotonic) -> None:
        self._rules = rules or BreakerRules()
        self._clock = clock
        self._breakers: dict[str, Breaker] = {}

    def add(self, name: str, rules: BreakerRules | None = None) -> Breaker:
        """A breaker for one more dependency; without rules of its own it has those of all."""
        breaker = self._breakers[name] = Breaker(name, rules or self._rules, self._clock)
        return breaker

    def figures(self) -> Iterable[BreakerFigures]:
        """Of each, in the order in which they were added."""
        return tuple(breaker.figures() for breaker in self._breakers.values())

    def find(self, name: str) -> BreakerFigures | None:
        """Of one; None where there is no such breaker."""
        breaker = self._breakers.get(name)
        return None if breaker is None else breaker.figures()
