"""One deadline per request, handed through every call."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from ragstone.errors import DeadlineExceeded

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point in monotonic time after which work is worth nothing.

    `at_s` is in seconds of `clock`; `budget_s` is what was given at the start, for messages.
    """

    at_s: float
    budget_s: float
    clock: Clock = time.monotonic

    @classmethod
    def after(cls, budget_s: float, clock: Clock = time.monotonic) -> Deadline:
        """The deadline `budget_s` seconds from now."""
        return cls(clock() + budget_s, budget_s, clock)

    @classmethod
    def never(cls) -> Deadline:
        """A deadline that does not come, for work without a caller."""
        return cls(math.inf, math.inf)

    @property
    def remaining_s(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self.at_s - self.clock())

    @property
    def is_over(self) -> bool:
        """Whether nothing is left."""
        return self.clock() >= self.at_s

    def at_most(self, limit_s: float) -> float:
        """Seconds a stage may take: its own limit or what is left, whichever is less."""
        return min(limit_s, self.remaining_s)

    def check(self, stage: str) -> None:
        """Go on only when time is left.

        Raises:
            DeadlineExceeded: naming the stage that would have begun too late.
        """
        if self.is_over:
            raise DeadlineExceeded(
                f"The {self.budget_s:g} s given to this request were used up before {stage}; "
                "give it more time or ask for less.",
                stage=stage,
            )
