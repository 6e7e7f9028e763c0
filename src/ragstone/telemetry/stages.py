"""Stage timings as one value: it feeds the span, the histogram, the Server-Timing header and `timings`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import structlog

from ragstone.telemetry.spans import span
from ragstone.telemetry.trail import StageRun, Trail, set_trail

log = structlog.get_logger(__name__)

StageSink = Callable[[str, str, float], None]
"""Takes an operation (`search`), a stage (`lexical`) and seconds."""


def no_sink(_operation: str, _stage: str, _seconds: float) -> None:
    """Drops the timing: for engines that nobody watches."""


class StageTimer:
    """Times the stages of one request. A stage that runs twice is summed; `trail` keeps each run."""

    def __init__(self, operation: str, sink: StageSink = no_sink) -> None:
        self._operation = operation
        self._sink = sink
        self._began = time.perf_counter()
        self._stages: dict[str, float] = {}
        self.trail = Trail()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as stage `name`, in a span of that name."""
        log.debug("stage_started", operation=self._operation, stage=name)
        began = time.perf_counter()
        before = set_trail(self.trail)
        try:
            with span(f"{self._operation}.{name}"):
                yield
        finally:
            set_trail(before)
            self.add(name, time.perf_counter() - began)

    def add(self, name: str, seconds: float) -> None:
        """Count `seconds` that end now to stage `name`."""
        self._stages[name] = self._stages.get(name, 0.0) + seconds
        start_s = max(0.0, time.perf_counter() - self._began - seconds)
        self.trail.stages.append(StageRun(name, start_s, seconds))
        self._sink(self._operation, name, seconds)

    def timings_ms(self) -> Mapping[str, float]:
        """Milliseconds per stage in order of first end, and `total` since the timer was made."""
        total = time.perf_counter() - self._began
        return {name: round(seconds * 1000, 3) for name, seconds in {**self._stages, "total": total}.items()}
