"""Trying again what another moment may mend: exponential pauses with jitter, inside a deadline.

The pauses are made here and not by a library: stamina takes a timeout of its own where a request already
has its deadline, and repeats functions, not streams that must not begin again once something was said.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

import anyio
import structlog

from ragstone.deadline import Deadline
from ragstone.errors import BreakerOpen, RagstoneError

log = structlog.get_logger(__name__)

T = TypeVar("T")
LEAST_JITTER = 0.5
"""Share of a pause that is always waited; the rest is drawn, so that callers who failed together do not
come back together."""


@dataclass(frozen=True, slots=True)
class RetryRules:
    """How often, and after which pauses."""

    attempts: int = 3
    first_s: float = 1.0
    longest_s: float = 30.0
    factor: float = 2.0

    def pause_s(self, attempt: int) -> float:
        """The longest pause after the attempt of this number, counted from 1."""
        # Far beyond the longest pause the power would no longer be a float.
        return min(self.longest_s, self.first_s * self.factor ** min(attempt - 1, 64))


class Retry:
    """Repeats work that failed with a retryable error."""

    def __init__(
        self,
        rules: RetryRules,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._rules = rules
        self._sleep = sleep
        self._draw = draw

    async def call(self, work: Callable[[], Awaitable[T]], deadline: Deadline) -> T:
        """The first result, or the last error."""
        attempt = 1
        while True:
            try:
                return await work()
            except RagstoneError as error:
                if not await self._pause(attempt, error, deadline):
                    raise
            attempt += 1

    async def stream(
        self, work: Callable[[], AsyncGenerator[T, None]], deadline: Deadline
    ) -> AsyncGenerator[T, None]:
        """The items of the first attempt that says something; from then on an error is final."""
        attempt = 1
        while True:
            is_begun = False
            try:
                async with aclosing(work()) as items:
                    async for item in items:
                        is_begun = True
                        yield item
                return
            except RagstoneError as error:
                if is_begun or not await self._pause(attempt, error, deadline):
                    raise
            attempt += 1

    async def _pause(self, attempt: int, error: RagstoneError, deadline: Deadline) -> bool:
        """Wait for the next attempt; False at once when there is none, or none in time."""
        if not error.retryable or isinstance(error, BreakerOpen) or attempt >= self._rules.attempts:
            return False
        longest_s = self._rules.pause_s(attempt)
        pause_s = self._draw(LEAST_JITTER * longest_s, longest_s)
        if pause_s >= deadline.remaining_s:
            return False
        log.info("retrying", code=error.code, attempt=attempt, pause_s=round(pause_s, 3))
        await self._sleep(pause_s)
        return True
