"""A line of the log for each operation, every so often: how many there were, and how long they took."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING

import structlog

from ragstone.cancellation import end_tasks

if TYPE_CHECKING:
    from ragstone.telemetry.percentiles import Percentiles

log = structlog.get_logger(__name__)


class PerformanceReport:
    """Reports until closed."""

    def __init__(self, percentiles: Percentiles, every_s: float) -> None:
        self._percentiles = percentiles
        self._every_s = every_s
        self._told: dict[str, int] = {}
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; with 0 seconds there is no report."""
        if self._every_s:
            self._loop = asyncio.create_task(self._go())

    def report(self) -> None:
        """One line for each operation that ran since the last report."""
        found = self._percentiles.summary()
        for operation, figures in {**found.operations, **found.custom}.items():
            if figures.count != self._told.get(operation):
                rounded = {name: round(value, 3) for name, value in asdict(figures).items()}
                log.info("performance", operation=operation, **rounded)
            self._told[operation] = figures.count

    async def aclose(self) -> None:
        """End."""
        if self._loop is not None:
            await end_tasks([self._loop])

    async def _go(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            self.report()
