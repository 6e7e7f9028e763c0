"""The end of a server: it takes nothing new, lets what is under way end, and knows how long that may take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from ragstone.deadline import Deadline

if TYPE_CHECKING:
    from ragstone.deadline import Clock

log = structlog.get_logger(__name__)


class Drain:
    """Counts requests under way, and tells everybody when the end has begun."""

    def __init__(self, grace_s: float, clock: Clock = time.monotonic) -> None:
        self._grace_s = grace_s
        self._clock = clock
        self._deadline: Deadline | None = None
        self._in_flight = 0
        self._moved = asyncio.Event()
        self._on_begin: list[Callable[[], None]] = []

    @property
    def is_begun(self) -> bool:
        """Whether nothing new is taken any more."""
        return self._deadline is not None

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return self._in_flight

    @property
    def left_s(self) -> float:
        """Seconds that work under way still has; all of the grace before the end has begun."""
        return self._grace_s if self._deadline is None else self._deadline.remaining_s

    def on_begin(self, tell: Callable[[], None]) -> None:
        """Call `tell` when the end begins."""
        self._on_begin.append(tell)

    def begin(self) -> None:
        """Take nothing new from here on; safe in a signal's handler, and more than once."""
        if self._deadline is None:
            self._deadline = Deadline.after(self._grace_s, self._clock)
            for tell in self._on_begin:
                tell()

    @contextmanager
    def request(self) -> Iterator[None]:
        """Around one request."""
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1
            self._moved.set()

    async def finished(self) -> bool:
        """Wait until no request is under way; False when the grace was over before."""
        log.info("draining", in_flight=self._in_flight, grace_s=round(self.left_s, 3))
        try:
            async with asyncio.timeout(self.left_s):
                while self._in_flight:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            log.warning("drain_cut_short", in_flight=self._in_flight)
            return False
        return True
