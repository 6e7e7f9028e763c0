"""How fast the operator's routes answer: liveness, readiness, health, details and a scrape of all metrics.

    python benchmarks/health.py [--quick]

One server on a home with 5,000 chunks; one client on one kept connection (plain sockets: a client library
would take longer than the route). Each route is asked while nothing else happens, and again while four
clients search without the cache. Times are from the first byte sent to the last one received. On a busy
machine the server's processor time for one request says more than the clock: it is measured, too. Raw
figures go to benchmarks/results/health.json.
"""

from __future__ import annotations

import asyncio
import json
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
from rich.table import Table

from query import fill_home
from ragstone.evaluate.machine import cpu_seconds
from ragstone.evaluate.made_up import MadeUp
from record import arguments, console, keep, quiet, serving

ROUTES = ("/health/live", "/health/ready", "/health", "/health/detailed", "/metrics")
SEARCHERS = 4
ANSWER_LIMIT_S = 30.0


class Connection:
    """One kept HTTP/1.1 connection."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._host = parts.netloc
        self._socket = socket.create_connection((parts.hostname, parts.port), ANSWER_LIMIT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self, path: str) -> tuple[float, bytes]:
        """Milliseconds of one GET, and the body."""
        request = f"GET {path} HTTP/1.1\r\nhost: {self._host}\r\n\r\n".encode()
        began = time.perf_counter()
        self._socket.sendall(request)
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._socket.recv(65_536)
        head, _, body = received.partition(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise SystemExit(f"{path} answered {head.splitlines()[0]!r}")
        length = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        )
        while len(body) < length:
            body += self._socket.recv(65_536)
        return (time.perf_counter() - began) * 1000, body

    def close(self) -> None:
        """Let the server go."""
        self._socket.close()


@contextmanager
def searching(address: str) -> Iterator[list[int]]:
    """Clients that search without the cache; how many searches each has done."""
    stop = threading.Event()
    done = [0] * SEARCHERS
    questions = MadeUp().questions(200)

    def search(number: int) -> None:
        with httpx2.Client(base_url=address, timeout=ANSWER_LIMIT_S, trust_env=False) as client:
            while not stop.is_set():
                query = questions[(number * 50 + done[number]) % len(questions)]
                client.post("/v1/search", json={"query": query, "cache": False}).raise_for_status()
                done[number] += 1

    threads = [threading.Thread(target=search, args=(number,)) for number in range(SEARCHERS)]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def measure(address: str, repeats: int) -> dict[str, object]:
    """Percentiles of every route, in turn, so that a busy moment hits all of them."""
    connection = Connection(address)
    times: dict[str, list[float]] = {route: [] for route in ROUTES}
    body = b""
    for _ in range(repeats):
        for route in ROUTES:
            spent, body = connection.get(route)
            times[route].append(spent)
    connection.close()
    series = sum(1 for line in body.splitlines() if line and not line.startswith(b"#"))
    return {**{route: percentiles(spent) for route, spent in times.items()}, "series": series}


def processor_ms(address: str, pid: int, count: int) -> dict[str, float]:
    """Processor time of the server for one request of each route, all its threads together."""
    connection = Connection(address)
    found = {}
    for route in ROUTES:
        before = cpu_seconds(pid)
        for _ in range(count):
            connection.get(route)
        found[route] = round((cpu_seconds(pid) - before) * 1000 / count, 3)
    connection.close()
    return found


def percentiles(spent: list[float]) -> dict[str, float]:
    ordered = sorted(spent)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 3)

    return {"p50_ms": at(0.5), "p95_ms": at(0.95), "p99_ms": at(0.99), "max_ms": round(ordered[-1], 3)}


def main() -> None:
    options = arguments(__doc__).parse_args()
    quiet()
    chunks, repeats = (500, 20) if options.quick else (5_000, 1_000)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(fill_home(Path(folder), chunks))
        with serving(Path(folder)) as (address, pid, _):
            # Everything has been used once: its series are there.
            httpx2.post(f"{address}/v1/ask", json={"question": MadeUp().questions(1)[0]}, timeout=60)
            measure(address, 5)
            idle = measure(address, repeats)
            spent = processor_ms(address, pid, repeats)
            with searching(address) as done:
                began = time.perf_counter()
                busy = measure(address, repeats // 4)
                rate = round(sum(done) / (time.perf_counter() - began), 1)
    figures = {
        "chunks": chunks,
        "idle": idle,
        "processor_ms": spent,
        "searching": {**busy, "searches_per_s": rate},
    }
    show(figures)
    keep("health", figures, is_quick=options.quick)


def show(figures: dict[str, object]) -> None:
    table = Table("route", "while", "p50 ms", "p95 ms", "p99 ms", "max ms", title="Operators' routes")
    for state in ("idle", "searching"):
        found = json.loads(json.dumps(figures[state]))
        for route in ROUTES:
            table.add_row(route, state, *(str(value) for value in found[route].values()))
    console().print("processor time, ms a request:", figures["processor_ms"])
    console().print(table)


if __name__ == "__main__":
    main()
