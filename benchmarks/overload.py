"""What a server does when more is asked than it can do.

    python benchmarks/overload.py [--quick] [--chunks N] [--seconds S] [--places N ...]

Its capacity is what eight clients get who each wait for their answer. Then requests come at a steady rate
whether answers do or not: at that capacity, and at three times it. For each: milliseconds of the requests
that were admitted, how many were refused and how fast, and the worst stall of the event loop (the upper bound
of the bucket of `ragstone_event_loop_lag_seconds` that it fell into). After the storm: seconds until five
requests in a row take no more than twice their idle time. Every request is another one, and none is cached.
Searches by the number of places for them (0 is the default), and questions that are answered with quotes by
the default, for twice as long: they take ten times a search's time.
The clients share the machine's processors with the server. Raw figures go to
benchmarks/results/overload.json.
"""

from __future__ import annotations

import as_served  # noqa: F401

# isort: split
import asyncio
import itertools
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Literal
from urllib.parse import urlsplit

import httpx2
import numpy as np
from rich.table import Table

from query import fill_home
from ragstone.evaluate.made_up import MadeUp
from record import arguments, console, keep, quiet, serving

CLIENTS = 8
CHUNKS = 5_000
SECONDS = 15.0
PLACES = (0, 16, 32)
IDLE_REQUESTS = 30
KEPT_S = 3.0
"""The server closes a connection that was idle for 5 s."""
LONGEST_RECOVERY_S = 60.0
Kind = Literal["search", "ask"]
LAG = "ragstone_event_loop_lag_seconds_bucket"


class Connections:
    """Kept connections to one server; as many as are needed at a time, none that it may have closed."""

    def __init__(self, address: str, kind: Kind) -> None:
        place = urlsplit(address)
        self._path, self._field = f"/v1/{kind}", "query" if kind == "search" else "question"
        self._host, self._port = place.hostname or "", place.port or 80
        self._idle: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, query: str) -> int:
        """The status of one uncached request."""
        body = json.dumps({self._field: query, "cache": False}).encode()
        head = f"POST {self._path} HTTP/1.1\r\nhost: {self._host}\r\ncontent-type: application/json\r\n"
        reader, writer = await self._open()
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        found = await reader.readuntil(b"\r\n\r\n")
        length = int(found.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        self._idle.append((time.monotonic(), reader, writer))
        return int(found.split(b" ", 2)[1])

    async def close(self) -> None:
        """Close them."""
        for _, _, writer in self._idle:
            writer.close()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            used_s, reader, writer = self._idle.pop()
            if time.monotonic() - used_s < KEPT_S:
                return reader, writer
            writer.close()
        return await asyncio.open_connection(self._host, self._port)


@dataclass(slots=True)
class Storm:
    """What came of the requests of one rate."""

    admitted_s: list[float] = field(default_factory=list)
    refused_s: list[float] = field(default_factory=list)
    errors: int = 0

    def wire(self, rate: float, lag_s: float) -> dict[str, object]:
        """The figures as plain values."""
        count = len(self.admitted_s) + len(self.refused_s) + self.errors
        return {
            "rate_per_second": round(rate, 1),
            "requests": count,
            "admitted_ms": percentiles(self.admitted_s),
            "refused_share": round(len(self.refused_s) / max(1, count), 4),
            "refused_ms": percentiles(self.refused_s),
            "errors": self.errors,
            "worst_loop_stall_ms_at_most": round(lag_s * 1000, 1),
        }


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Milliseconds at the median and at 99 %; nothing of nothing."""
    if not seconds:
        return {}
    p50, p99 = np.percentile(np.asarray(seconds), [50, 99]) * 1000
    return {"p50": round(float(p50), 2), "p99": round(float(p99), 2)}


async def capacity(connections: Connections, queries: Iterator[str], seconds: float) -> float:
    """Requests a second of clients who each wait for their answer."""
    until, count = time.perf_counter() + seconds, 0

    async def client() -> None:
        nonlocal count
        while time.perf_counter() < until:
            await connections.ask(next(queries))
            count += 1

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return count / seconds


async def storm(connections: Connections, queries: Iterator[str], rate: float, seconds: float) -> Storm:
    """Requests at a steady rate, whatever becomes of them; a request's time begins when it was due."""
    came = Storm()
    began = time.perf_counter()

    async def ask(due: float) -> None:
        try:
            status = await connections.ask(next(queries))
        except (OSError, EOFError):
            came.errors += 1
            return
        spent = time.perf_counter() - due
        if status == 200:
            came.admitted_s.append(spent)
        elif status == 429:
            came.refused_s.append(spent)
        else:
            came.errors += 1

    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            due = began + number / rate
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            group.create_task(ask(due))
    return came


async def recovery(connections: Connections, queries: Iterator[str], idle_s: float) -> float:
    """Seconds until requests are as fast as before, or nearly."""
    began, good = time.perf_counter(), 0
    while good < 5:
        start = time.perf_counter()
        status = await connections.ask(next(queries))
        good = good + 1 if status == 200 and time.perf_counter() - start <= 2 * idle_s else 0
        if time.perf_counter() - began > LONGEST_RECOVERY_S:
            break
    return time.perf_counter() - began


def lag_counts(address: str) -> dict[float, float]:
    """The event loop's lags so far, by the upper bound of their bucket."""
    text = httpx2.get(f"{address}/metrics", timeout=60, trust_env=False).text
    lines = [line for line in text.splitlines() if line.startswith(LAG)]
    return {float(line.split('le="')[1].split('"')[0]): float(line.rsplit(" ", 1)[1]) for line in lines}


def worst_lag(before: Mapping[float, float], after: Mapping[float, float]) -> float:
    """The smallest bound that all lags in between are under."""
    total = after[float("inf")] - before[float("inf")]
    return min(bound for bound in after if after[bound] - before[bound] >= total)


async def weather(address: str, kind: Kind, seconds: float) -> dict[str, object]:
    """One server in calm, at its capacity, beyond it, and after."""
    queries = (
        f"{query} {number}" for number in itertools.count() for query in MadeUp(seed=number).questions(500)
    )
    connections = Connections(address, kind)
    await capacity(connections, queries, seconds / 5)
    idle = []
    for _ in range(IDLE_REQUESTS):
        start = time.perf_counter()
        await connections.ask(next(queries))
        idle.append(time.perf_counter() - start)
    at_most = await capacity(connections, queries, seconds)
    figures: dict[str, object] = {
        "idle_ms": percentiles(idle),
        "capacity_per_second": round(at_most, 1),
    }
    for name, factor in (("at_capacity", 1.0), ("at_three_times", 3.0)):
        before = await asyncio.to_thread(lag_counts, address)
        came = await storm(connections, queries, factor * at_most, seconds)
        recovered_s = await recovery(connections, queries, median(idle))
        lag_s = worst_lag(before, await asyncio.to_thread(lag_counts, address))
        figures[name] = {**came.wire(factor * at_most, lag_s), "recovered_s": round(recovered_s, 3)}
    await connections.close()
    return figures


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--chunks", type=int, default=CHUNKS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--places", type=int, nargs="+", default=PLACES)
    options = parser.parse_args()
    quiet()
    seconds = 2.0 if options.quick else options.seconds
    searches: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        asyncio.run(fill_home(home, 500 if options.quick else options.chunks))
        for places in options.places:
            os.environ["RAGSTONE_LIMITS__MAX_CONCURRENT_SEARCHES"] = str(places)
            with serving(home) as (address, _, _):
                searches[str(places)] = asyncio.run(weather(address, "search", seconds))
        del os.environ["RAGSTONE_LIMITS__MAX_CONCURRENT_SEARCHES"]
        with serving(home) as (address, _, _):
            asks = asyncio.run(weather(address, "ask", 2 * seconds))
    show({**{f"{places} searches": found for places, found in searches.items()}, "asks": asks})
    figures = {"chunks": options.chunks, "seconds": seconds, "by_places": searches, "asks": asks}
    keep("overload", figures, is_quick=options.quick)


def show(found: Mapping[str, object]) -> None:
    """A row for each number of places and rate."""
    table = Table(
        "places", "rate", "p50 ms", "p99 ms", "refused", "told in ms (p99)", "stall <= ms", "back in s"
    )
    for places, figures in found.items():
        if not isinstance(figures, dict):
            continue
        for name in ("at_capacity", "at_three_times"):
            one = figures[name]
            admitted, refused = one["admitted_ms"], one["refused_ms"]
            table.add_row(
                places,
                f"{one['rate_per_second']:g}/s",
                f"{admitted.get('p50', 0):g}",
                f"{admitted.get('p99', 0):g}",
                f"{one['refused_share']:.1%}",
                f"{refused.get('p99', 0):g}",
                f"{one['worst_loop_stall_ms_at_most']:g}",
                f"{one['recovered_s']:g}",
            )
    console().print(table)


if __name__ == "__main__":
    main()
