"""How late the event loop wakes those who are due: a probe asks to be woken and looks at the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from ragstone.cancellation import end_tasks

if TYPE_CHECKING:
    from collections.abc import Awaitable

EVERY_S = 0.05


class LoopLag:
    """Measures the loop that it was started on, until closed."""

    def __init__(
        self,
        observe: Callable[[float], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._observe = observe
        self._sleep = sleep
        self._clock = clock or asyncio.get_running_loop().time
        self._probing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Probe from now on."""
        self._probing = asyncio.create_task(self._go(), name="loop-lag")

    async def aclose(self) -> None:
        """Probe no more."""
        if self._probing is not None:
            await end_tasks([self._probing])

    async def _go(self) -> None:
        while True:
            asked_at = self._clock()
            await self._sleep(EVERY_S)
            self._observe(max(0.0, self._clock() - asked_at - EVERY_S))
