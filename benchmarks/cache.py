"""What the caches save and what they cost, on a running server and in process.

    python benchmarks/cache.py [--quick] [--chunks N] [--redis URL]

A repeated question over HTTP, by one client on a socket of its own, with the server's processor time; the
same made anew each time; after a restart from the tier behind; 200 equal questions at once against a slow
generator; a skewed (Zipf) workload with 5 % writes; an embedding found again; and what a miss costs more than
no cache.
Raw figures go to benchmarks/results/cache.json.
"""

from __future__ import annotations

import as_served  # noqa: F401

# isort: split
import asyncio
import json
import os
import random
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Final
from urllib.parse import urlsplit

import numpy as np
import uvicorn
from rich.table import Table
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from query import fill_rows
from ragstone.config import Loaded
from ragstone.deadline import Deadline
from ragstone.evaluate.machine import cpu_seconds
from ragstone.evaluate.made_up import MadeUp
from ragstone.evaluate.timing import latency_of
from ragstone.runtime.engine import Engine, open_engine
from ragstone.settings import Settings
from ragstone.types import SearchRequest
from record import arguments, console, keep, quiet, serving

BURST = 200
GENERATION_S = 1.0
ZIPF_EXPONENT, WRITE_SHARE = 1.1, 0.05
Wire = Mapping[str, object]


class Connection:
    """One HTTP/1.1 connection that is kept: the client costs less than what is measured."""

    def __init__(self, address: str) -> None:
        place = urlsplit(address)
        self._host = place.netloc
        self._socket = socket.create_connection((place.hostname, place.port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""

    def post(self, path: str, body: Wire) -> dict[str, object]:
        """The response's JSON."""
        found: dict[str, object] = json.loads(self.exchange(self.request(path, body)))
        return found

    def request(self, path: str, body: Wire) -> bytes:
        """The bytes of a request."""
        content = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: {self._host}\r\ncontent-type: application/json\r\n"
        return f"{head}content-length: {len(content)}\r\n\r\n".encode() + content

    def exchange(self, request: bytes) -> bytes:
        """The body of the response to a request."""
        self._socket.sendall(request)
        while b"\r\n\r\n" not in self._rest:
            self._read()
        head, self._rest = self._rest.split(b"\r\n\r\n", 1)
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        while len(self._rest) < length:
            self._read()
        body, self._rest = self._rest[:length], self._rest[length:]
        if b" 20" not in head.split(b"\r\n", 1)[0]:
            raise SystemExit(f"The server answered {head[:60]!r}: {body[:300]!r}")
        return body

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def _read(self) -> None:
        if not (piece := self._socket.recv(65_536)):
            raise SystemExit("The server closed the connection.")
        self._rest += piece


@dataclass(slots=True)
class SlowGenerator:
    """An OpenAI-compatible server that takes its time."""

    asked: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    async def complete(self, _request: Request) -> StreamingResponse:
        """A short answer, streamed over `GENERATION_S`."""
        with self.lock:
            self.asked += 1

        async def events() -> AsyncIterator[bytes]:
            for piece in ("It ", "is ", "so ", "[1]."):
                await asyncio.sleep(GENERATION_S / 4)
                choice = {"index": 0, "delta": {"content": piece}, "finish_reason": None}
                chunk = {"id": "a", "object": "chat.completion.chunk", "choices": [choice]}
                yield f"data: {json.dumps(chunk)}\n\n".encode()
            yield b"data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")


@contextmanager
def generating() -> Iterator[tuple[str, SlowGenerator]]:
    """A slow generator at an address."""
    double = SlowGenerator()
    app = Starlette(routes=[Route("/v1/chat/completions", double.complete, methods=["POST"])])
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1", double
        finally:
            server.should_exit = True
            thread.join(10)


def latencies(times_s: Sequence[float]) -> dict[str, float]:
    """Median, 95 and 99 % in milliseconds, and requests a second one after the other."""
    p99_ms = 1000 * float(np.percentile(np.asarray(times_s), 99))
    return {**latency_of(times_s, sum(times_s)).wire(), "p99_ms": round(p99_ms, 3)}


def repeated(address: str, pid: int, path: str, body: Wire, count: int) -> dict[str, object]:
    """One request again and again: latency, and requests per second of the server's processor time."""
    with closing(Connection(address)) as connection:
        request = connection.request(path, body)
        for _ in range(5):
            connection.exchange(request)
        times, spent = [], cpu_seconds(pid)
        for _ in range(count):
            start = time.perf_counter()
            connection.exchange(request)
            times.append(time.perf_counter() - start)
        spent = cpu_seconds(pid) - spent
        outcome = connection.post(path, body)["cache"]
    return {
        **latencies(times),
        "cache": outcome,
        "server_processor_us": round(1e6 * spent / count, 1),
        "per_second_and_core": round(count / spent),
    }


def asked_once(address: str, questions: Sequence[str]) -> dict[str, object]:
    """Each question once, in turn; where the answers came from."""
    times, outcomes = [], Counter[str]()
    with closing(Connection(address)) as connection:
        for question in questions:
            request = connection.request("/v1/ask", {"question": question})
            start = time.perf_counter()
            found = connection.exchange(request)
            times.append(time.perf_counter() - start)
            outcomes[json.loads(found)["cache"]] += 1
    return {**latencies(times), "outcomes": dict(outcomes)}


def burst(address: str, double: SlowGenerator, question: str) -> dict[str, object]:
    """Equal questions at once: how often the generator was asked."""
    before, barrier = double.asked, threading.Barrier(BURST)

    def ask() -> str:
        with closing(Connection(address)) as connection:
            barrier.wait()
            return str(connection.post("/v1/ask", {"question": question})["cache"])

    start = time.perf_counter()
    with ThreadPoolExecutor(BURST) as pool:
        outcomes = Counter(future.result() for future in [pool.submit(ask) for _ in range(BURST)])
    seconds = time.perf_counter() - start
    return {
        "questions": BURST,
        "generations": double.asked - before,
        "seconds": round(seconds, 3),
        "generation_s": GENERATION_S,
        "outcomes": dict(outcomes),
    }


def skewed(address: str, questions: Sequence[str], count: int) -> dict[str, object]:
    """Questions by a Zipf distribution; one request in twenty writes to the collection that is asked."""
    choose = random.Random(11)
    weights = [1 / rank**ZIPF_EXPONENT for rank in range(1, len(questions) + 1)]
    texts = (entry.text for entry in MadeUp(seed=61).documents(1_000_000))
    outcomes, times = Counter[str](), []
    with closing(Connection(address)) as connection:
        for _ in range(count):
            if choose.random() < WRITE_SHARE:
                connection.post("/v1/documents", {"text": next(texts), "source": f"s{choose.randrange(50)}"})
                continue
            [question] = choose.choices(questions, weights)
            start = time.perf_counter()
            outcomes[str(connection.post("/v1/ask", {"question": question})["cache"])] += 1
            times.append(time.perf_counter() - start)
    asked = sum(outcomes.values())
    return {
        "questions": asked,
        "distinct": len(questions),
        "writes": count - asked,
        "outcomes": dict(outcomes),
        "hit_rate": round(outcomes["hit"] / asked, 3),
        "hit_or_evidence_rate": round((outcomes["hit"] + outcomes["evidence"]) / asked, 3),
        **latencies(times),
    }


async def in_process(engine: Engine, count: int) -> dict[str, object]:
    """An embedding found again, and a miss with caches against no caches, in turns."""
    await engine.embedder.embed_query("a question", Deadline.never())
    found = []
    for _ in range(2_000):
        start = time.perf_counter()
        await engine.embedder.embed_query("a question", Deadline.never())
        found.append(time.perf_counter() - start)
    times: dict[bool, list[float]] = {True: [], False: []}
    for at, question in enumerate(MadeUp(seed=67).questions(2 * count)):
        # Embedded before: the model's time varies more than what is measured.
        await engine.embedder.embed_query(question, Deadline.never())
        uses_cache = at % 2 == 0
        start = time.process_time()
        await engine.search.search(replace(SearchRequest(question), use_cache=uses_cache))
        times[uses_cache].append(time.process_time() - start)
    with_cache, without = median(times[True]), median(times[False])
    done = engine.embedder.statistics()
    embedding_s = done.busy_s / done.texts
    return {
        "embedding_found_us": round(1e6 * median(found), 1),
        "miss_ms_beyond_embedding": round(1000 * with_cache, 3),
        "no_cache_ms_beyond_embedding": round(1000 * without, 3),
        "embedding_ms": round(1000 * embedding_s, 3),
        "overhead_of_a_miss": round((with_cache - without) / (without + embedding_s), 4),
    }


async def prepare(home: Path, chunks: int, count: int) -> dict[str, object]:
    async with open_engine(Loaded(Settings(), home, {})) as engine:
        await fill_rows(engine, chunks)
        return await in_process(engine, count)


def measure(chunks: int, *, is_quick: bool) -> dict[str, object]:
    """All figures of one tier."""
    repeats, few = (200, 20) if is_quick else (5_000, 200)
    questions = MadeUp(seed=59).questions(few)
    with tempfile.TemporaryDirectory() as folder, generating() as (generator, double):
        home = Path(folder)
        figures: dict[str, object] = asyncio.run(prepare(home, chunks, few))
        with serving(home) as (address, pid, _):
            for path, name in (("/v1/ask", "question"), ("/v1/search", "query")):
                body = {name: questions[0]}
                shown = path.rpartition("/")[2]
                figures[f"repeated_{shown}"] = repeated(address, pid, path, body, repeats)
                anew = {**body, "cache": False}
                figures[f"anew_{shown}"] = repeated(address, pid, path, anew, few)
            figures["first_time"] = asked_once(address, questions[1:])
            figures["second_time"] = asked_once(address, questions[1:])
        with serving(home) as (address, _, _):
            figures["after_restart"] = asked_once(address, questions[1:])
        os.environ |= {"RAGSTONE_GENERATOR__BASE_URL": generator, "RAGSTONE_GENERATOR__MODEL": "slow"}
        with serving(home) as (address, _, _):
            figures["burst"] = burst(address, double, questions[0])
        del os.environ["RAGSTONE_GENERATOR__BASE_URL"], os.environ["RAGSTONE_GENERATOR__MODEL"]
        with serving(home) as (address, _, _):
            figures["skewed"] = skewed(address, questions, 100 if is_quick else 2_000)
    return {"chunks": chunks, **figures}


SHOWN: Final = ("p50_ms", "p99_ms", "per_second_and_core", "cache", "outcomes", "hit_rate", "generations")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--chunks", type=int, default=5_000, help="chunks in the searched collection")
    parser.add_argument("--redis", metavar="URL", help="keep entries there instead of in SQLite")
    options = parser.parse_args()
    quiet()
    if options.redis:
        os.environ["RAGSTONE_CACHE__REDIS_URL"] = options.redis
    figures = measure(1_000 if options.quick else options.chunks, is_quick=options.quick)
    table = Table("what", *SHOWN, title="Caches")
    for name, found in figures.items():
        if isinstance(found, dict):
            table.add_row(name, *(str(found.get(column, "")) for column in SHOWN))
        else:
            table.add_row(name, str(found))
    console().print(table)
    keep("cache-redis" if options.redis else "cache", figures, is_quick=options.quick)


if __name__ == "__main__":
    main()
