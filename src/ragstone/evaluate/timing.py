"""Timing requests of one or several clients."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import anyio
import numpy as np

Ask = Callable[[str], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Latency:
    """Of one kind of request: milliseconds at the median and at 95 %, and requests a second together."""

    p50_ms: float
    p95_ms: float
    per_second: float

    def wire(self) -> dict[str, float]:
        """The figures as plain values."""
        return {
            "p50_ms": round(self.p50_ms, 3),
            "p95_ms": round(self.p95_ms, 3),
            "per_second": round(self.per_second, 1),
        }


def latency_of(times_s: Sequence[float], elapsed_s: float) -> Latency:
    """The figures of requests that took `times_s`, all of them within `elapsed_s`."""
    p50, p95 = np.percentile(np.asarray(times_s), [50, 95]) * 1000
    return Latency(float(p50), float(p95), len(times_s) / elapsed_s)


async def time_requests(ask: Ask, questions: Sequence[str], clients: int) -> Latency:
    """Ask every question once; each client asks its next one when it has its answer."""
    times: list[float] = []
    rest = iter(questions)

    async def client() -> None:
        for question in rest:
            start = time.perf_counter()
            await ask(question)
            times.append(time.perf_counter() - start)

    begin = time.perf_counter()
    async with anyio.create_task_group() as group:
        for _ in range(clients):
            group.start_soon(client)
    return latency_of(times, time.perf_counter() - begin)
