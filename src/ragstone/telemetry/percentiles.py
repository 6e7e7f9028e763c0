"""Times of operations as percentiles, in this process: the last 1,000 of each, without any other system."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

WINDOW = 1_000
"""Values of each operation that percentiles are taken of."""
MOST_NAMES = 1_000
"""Operations; what is recorded under further names is counted as dropped."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One operation since the last reset; percentiles are of its newest `WINDOW` values."""

    count: int
    errors: int
    min: float
    mean: float
    max: float
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything recorded; operations are in milliseconds, custom values in whatever unit they came."""

    uptime_s: float
    since_s: float
    """Seconds since the last reset."""
    operations: Mapping[str, Figures]
    custom: Mapping[str, Figures]
    errors: Mapping[str, int]
    """By code."""
    dropped: int


@dataclass(slots=True)
class _Series:
    count: int = 0
    errors: int = 0
    total: float = 0.0
    min: float = float("inf")
    max: float = float("-inf")
    newest: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value
        if value < self.min:
            self.min = value
        if value > self.max:
            self.max = value
        self.newest.append(value)

    def figures(self) -> Figures:
        ordered = sorted(self.newest)
        if not ordered:
            return Figures(0, self.errors, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        return Figures(
            count=self.count,
            errors=self.errors,
            min=self.min,
            mean=self.total / self.count,
            max=self.max,
            p50=_at(ordered, 0.50),
            p95=_at(ordered, 0.95),
            p99=_at(ordered, 0.99),
        )


class Percentiles:
    """Records values; from any thread. Switched off, it records nothing."""

    def __init__(self, *, is_on: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self.is_on = is_on
        self._clock = clock
        self._opened = self._began = clock()
        self._lock = threading.Lock()
        self._operations: dict[tuple[str, str], _Series] = {}
        self._custom: dict[str, _Series] = {}
        self._errors: dict[str, int] = {}
        self._dropped = 0

    def observe(self, operation: str, part: str, seconds: float) -> None:
        """Record how long an operation took, or with `part` one of its stages."""
        if not self.is_on:
            return
        with self._lock:
            series = self._operations.get((operation, part)) or self._new(operation, part)
            series.add(seconds * 1000)

    def fail(self, operation: str, part: str, code: str) -> None:
        """Record that an operation failed; how long it took is recorded beside."""
        if not self.is_on:
            return
        with self._lock:
            (self._operations.get((operation, part)) or self._new(operation, part)).errors += 1
            self._errors[code] = self._errors.get(code, 0) + 1

    def record(self, name: str, value: float) -> None:
        """Record a value of the program's own, such as `record("import.rows", 812)`."""
        if not self.is_on:
            return
        with self._lock:
            series = self._custom.get(name)
            if series is None:
                if self._is_full():
                    self._dropped += 1
                    return
                series = self._custom[name] = _Series()
            series.add(float(value))

    def summary(self) -> Summary:
        """The figures now."""
        with self._lock:
            present = self._clock()
            return Summary(
                uptime_s=present - self._opened,
                since_s=present - self._began,
                operations={_name(key): found.figures() for key, found in sorted(self._operations.items())},
                custom={name: found.figures() for name, found in sorted(self._custom.items())},
                errors=dict(sorted(self._errors.items())),
                dropped=self._dropped,
            )

    def reset(self) -> None:
        """Begin anew; the uptime goes on."""
        with self._lock:
            self._began = self._clock()
            self._operations, self._custom, self._errors, self._dropped = {}, {}, {}, 0

    def _new(self, operation: str, part: str) -> _Series:
        if self._is_full():
            self._dropped += 1
            return _Series()  # nobody's
        series = self._operations[operation, part] = _Series()
        return series

    def _is_full(self) -> bool:
        return len(self._operations) + len(self._custom) >= MOST_NAMES


def _at(ordered: list[float], share: float) -> float:
    """The nearest rank: the smallest value that so many are not above."""
    return ordered[max(0, -(-len(ordered) * round(share * 100) // 100) - 1)]


def _name(key: tuple[str, str]) -> str:
    operation, part = key
    if not part:
        return operation
    return f"{operation} {part}" if part.startswith("/") else f"{operation}.{part}"
