"""Stage timings as one value: it feeds the histogram, the Server-Timing header and `timings`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import structlog

log = structlog.get_logger(__name__)

StageSink = Callable[[str, str, float], None]
"""Takes an operation (`search`), a stage (`lexical`) and seconds."""


def no_sink(_operation: str, _stage: str, _seconds: float) -> None:
    """Drops the timing: for engines that nobody watches."""


class StageTimer:
    """Times the stages of one request. A stage that runs twice is summed."""

    def __init__(self, operation: str, sink: StageSink = no_sink) -> None:
        self._operation = operation
        self._sink = sink
        self._began = time.perf_counter()
        self._stages: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as stage `name`."""
        log.debug("stage_started", operation=self._operation, stage=name)
        began = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - began)

    def add(self, name: str, seconds: float) -> None:
        """Count `seconds` to stage `name`."""
        self._stages[name] = self._stages.get(name, 0.0) + seconds
        self._sink(self._operation, name, seconds)

    def timings_ms(self) -> Mapping[str, float]:
        """Milliseconds per stage in order of first end, and `total` since the timer was made."""
        total = time.perf_counter() - self._began
        return {name: round(seconds * 1000, 3) for name, seconds in {**self._stages, "total": total}.items()}
