"""Stores what gathers in memory a moment later, in one task."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

import structlog

from ragstone.cancellation import end_tasks, run_to_end
from ragstone.errors import RagstoneError

log = structlog.get_logger(__name__)

FLUSH_S = 2.0
TIDY_S = 3600.0
Step = Callable[[], Coroutine[object, object, None]]


@dataclass(frozen=True, slots=True)
class Buffer:
    """What gathers: its name in the log, how much of it waits, and what to do with it.

    `store` stores some of what waits; on a `RagstoneError` it waits on, on any other error `store` has
    dropped it, so that what nobody foresaw does not keep all later ones waiting. `tidy` removes what is too
    old: called after what waited was stored, and once an hour when nothing comes.
    """

    name: str
    count: Callable[[], int]
    store: Step
    tidy: Step
    flush_at: int
    """Waiting for so many, it does not wait for more to come."""


class WriteBehind:
    """Empties a buffer `FLUSH_S` after something came, earlier when much has; `aclose` stores what is left.

    The log tells once that storing fails, until it works again, and never with a traceback: the locals of
    its frames are questions.
    """

    def __init__(self, buffer: Buffer) -> None:
        self._buffer = buffer
        self._came, self._is_much = asyncio.Event(), asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._is_failing = False
        self.turn = asyncio.Lock()
        """Held while storing."""

    def start(self) -> None:
        """Begin."""
        self._loop = asyncio.create_task(self._go(), name=self._buffer.name)

    def wake(self) -> None:
        """Something came."""
        self._came.set()
        if self._buffer.count() >= self._buffer.flush_at:
            self._is_much.set()

    async def flush(self) -> None:
        """Store what waits.

        Raises:
            StoreFailed: the database does not take it; it waits on.
        """
        async with self.turn:
            while self._buffer.count():
                await run_to_end(self._buffer.store())

    async def aclose(self) -> None:
        """Store what waits, and end."""
        if self._loop is not None:
            await end_tasks([self._loop])
        try:
            await self.flush()
        except Exception as error:  # noqa: BLE001 - closing goes on
            self._lost(error)

    async def _go(self) -> None:
        while True:
            await _within(TIDY_S, self._came)
            if self._came.is_set():
                await _within(FLUSH_S, self._is_much)
            self._came.clear()
            self._is_much.clear()
            try:
                await self.flush()
                await self._buffer.tidy()
                self._is_failing = False
            except RagstoneError as error:
                self._tell(error)
                self._came.set()
            except Exception as error:  # noqa: BLE001 - a writer's loop: what comes next may be stored
                self._lost(error)

    def _tell(self, error: RagstoneError) -> None:
        if not self._is_failing:
            log.warning("not_stored_yet", what=self._buffer.name, code=error.code, count=self._buffer.count())
        self._is_failing = True

    def _lost(self, error: Exception) -> None:
        log.error(
            "not_stored", what=self._buffer.name, failure=type(error).__name__, count=self._buffer.count()
        )


async def _within(seconds: float, event: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
