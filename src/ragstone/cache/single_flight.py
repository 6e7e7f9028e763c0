"""Equal requests at the same time cost one: whoever comes later follows the work that is under way.

The work runs in a task of its own, so that nobody who leaves takes it away from the others; when the last one
has left it is cancelled. Everyone waits within a deadline of their own. The work has the deadline of whoever
began it, so it is joined only while that leaves nearly as much time as the newcomer has.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Hashable
from contextlib import aclosing, asynccontextmanager
from typing import Generic, TypeVar

from ragstone.deadline import Deadline
from ragstone.errors import DeadlineExceeded

T = TypeVar("T")
Work = Callable[[], AsyncGenerator[T, None]]
LONGEST_WAIT_S = 3600.0
"""Stands for no limit; the wait begins anew."""
LEAST_SHARE = 0.75
"""Of its own time that a newcomer must have with the work of another."""


class Flight(Generic[T]):
    """One piece of work under way; what it said so far can be read from the beginning."""

    def __init__(self, work: Work[T], deadline: Deadline) -> None:
        self.followers = 0
        self._deadline = deadline
        self._said: list[T] = []
        self._waiting: set[asyncio.Future[None]] = set()
        self._error: BaseException | None = None
        self._is_over = False
        self._task = asyncio.ensure_future(self._fly(work))

    @property
    def is_over(self) -> bool:
        """Whether the work has ended, well or not."""
        return self._is_over

    def is_for(self, deadline: Deadline) -> bool:
        """Whether whoever has this deadline may follow."""
        return not self._is_over and self._deadline.remaining_s >= LEAST_SHARE * deadline.remaining_s

    def was_cut_short(self, deadline: Deadline) -> bool:
        """Whether the time of whoever began the work is over, and that of this follower is not."""
        return self._deadline.is_over and not deadline.is_over

    async def items(self, deadline: Deadline) -> AsyncGenerator[T, None]:
        """All that the work says, from the beginning; what it raises is raised to every follower.

        Raises:
            DeadlineExceeded: this follower's own time is over.
        """
        at = 0
        while True:
            while at < len(self._said):
                yield self._said[at]
                at += 1
            if self._is_over:
                break
            await self._move(deadline)
        if self._error is not None:
            raise self._error

    async def stop(self) -> None:
        """Cancel the work, and wait for its end."""
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _move(self, deadline: Deadline) -> None:
        moved = asyncio.get_running_loop().create_future()
        self._waiting.add(moved)
        try:
            await asyncio.wait({moved}, timeout=min(deadline.remaining_s, LONGEST_WAIT_S))
        finally:
            self._waiting.discard(moved)
        if not moved.done() and deadline.is_over:
            raise DeadlineExceeded(
                f"The {deadline.budget_s:g} s given to this request were used up while an equal one was "
                "answered; give it more time or ask for less."
            )

    async def _fly(self, work: Work[T]) -> None:
        try:
            async with aclosing(work()) as items:
                async for item in items:
                    self._said.append(item)
                    self._wake()
        except BaseException as error:
            self._error = error
            if not isinstance(error, Exception):
                raise
        finally:
            self._is_over = True
            self._wake()

    def _wake(self) -> None:
        for moved in self._waiting:
            if not moved.done():
                moved.set_result(None)


class Flights(Generic[T]):
    """The work under way in this process, by key."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, Flight[T]] = {}

    @asynccontextmanager
    async def join(
        self, key: Hashable, work: Work[T], deadline: Deadline
    ) -> AsyncIterator[tuple[Flight[T], bool]]:
        """The flight of `key` and whether it was under way already; begun with `work` when it was not.

        `deadline` is both the caller's and, where it begins, that of `work`. Whoever leaves last stops it.
        """
        flight = self._flights.get(key)
        is_shared = flight is not None and flight.is_for(deadline)
        if flight is None or not is_shared:
            flight = self._flights[key] = Flight(work, deadline)
        flight.followers += 1
        try:
            yield flight, is_shared
        finally:
            flight.followers -= 1
            if flight.followers == 0:
                if self._flights.get(key) is flight:
                    del self._flights[key]
                if not flight.is_over:
                    await flight.stop()
