"""Hybrid search: latency in process at two sizes, beside a writer, and throughput over HTTP.

    python benchmarks/query.py [--quick]

Every question is new, so its embedding is computed. Embedding alone and the whole search are measured in
turns, question by question, so that a slow minute of the machine hits both. Texts are made up (Zipf's law);
vectors are random, which an exact scan does not notice. Raw figures go to benchmarks/results/query.json.
"""

from __future__ import annotations

import as_served  # noqa: F401

# isort: split
import asyncio
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import httpx2
from rich.table import Table

from ragstone.config import Loaded
from ragstone.deadline import Deadline
from ragstone.evaluate.bench import embed_query, random_rows, search
from ragstone.evaluate.corpus import batches, open_temporary_engine, store_volumes
from ragstone.evaluate.made_up import MadeUp
from ragstone.evaluate.timing import Latency, latency_of, time_requests
from ragstone.ingest.request import IngestRequest
from ragstone.runtime.engine import Engine, open_engine
from ragstone.settings import Settings
from ragstone.types import DEFAULT_COLLECTION, RawFile
from record import arguments, console, keep, quiet, serving

HTTP_CHUNKS, HTTP_CLIENTS = 5_000, 8
WRITERS = 4


async def fill_rows(engine: Engine, count: int) -> None:
    """Bring the default collection to `count` chunks of made-up text."""
    collection = await engine.collections.get(DEFAULT_COLLECTION)
    for batch in batches(MadeUp().documents(count), 5_000):
        await store_volumes(engine, collection, batch, random_rows(len(batch), engine.embedder.dim))


async def fill_home(home: Path, count: int) -> None:
    """A home with so many chunks, closed again: for a server to open."""
    async with open_engine(Loaded(Settings(), home, {})) as engine:
        await fill_rows(engine, count)


async def in_turns(engine: Engine, questions: Sequence[str]) -> tuple[Latency, Latency]:
    """Embedding alone and the whole search, one after the other, on different questions."""
    times: tuple[list[float], list[float]] = ([], [])
    asks = (partial(embed_query, engine), partial(search, engine, DEFAULT_COLLECTION, "hybrid"))
    for at, question in enumerate(questions):
        start = time.perf_counter()
        await asks[at % 2](question)
        times[at % 2].append(time.perf_counter() - start)
    return latency_of(times[0], sum(times[0])), latency_of(times[1], sum(times[1]))


async def write_until(engine: Engine, source: MadeUp, stop: asyncio.Event) -> int:
    """Ingest documents, several at once, until told to stop; how many."""
    written = 0
    documents = source.documents(1_000_000)

    async def writer() -> None:
        nonlocal written
        while not stop.is_set():
            entry = next(documents)
            file = RawFile(entry.text.encode(), "", "text/plain")
            request = IngestRequest(file, title=entry.title, source=f"writer-{entry.id}")
            await engine.documents.add(request, Deadline.never())
            written += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(WRITERS):
            group.create_task(writer())
    return written


async def beside_writer(engine: Engine, questions: Sequence[str], idle: Latency) -> dict[str, object]:
    """The search's p95 and the writer's rate, each alone and together."""
    source = MadeUp(seed=17)
    rates = []
    together = idle
    for has_reader in (False, True):
        stop = asyncio.Event()
        start = time.perf_counter()
        writing = asyncio.create_task(write_until(engine, source, stop))
        if has_reader:
            ask = partial(search, engine, DEFAULT_COLLECTION, "hybrid")
            together = await time_requests(ask, questions, 1)
        else:
            await asyncio.sleep(8)
        stop.set()
        rates.append(await writing / (time.perf_counter() - start))
    return {
        "search": together.wire(),
        "search_p95_ratio": round(together.p95_ms / idle.p95_ms, 2),
        "writes_per_second_alone": round(rates[0], 1),
        "writes_per_second_beside_search": round(rates[1], 1),
        "kept_share_of_writes": round(rates[1] / rates[0], 3),
    }


async def in_process(count: int, query_count: int, *, has_writer: bool) -> dict[str, object]:
    """All figures of one size."""
    questions = batches(MadeUp(seed=11).questions(query_count * 4 + 10), query_count)
    async with open_temporary_engine(Settings()) as engine:
        start = time.perf_counter()
        await fill_rows(engine, count)
        seconds = time.perf_counter() - start
        await in_turns(engine, MadeUp(seed=23).questions(10))
        embed, one = await in_turns(engine, [*next(questions), *next(questions)])
        eight = await time_requests(partial(search, engine, DEFAULT_COLLECTION, "hybrid"), next(questions), 8)
        figures: dict[str, object] = {
            "chunks": count,
            "fill_seconds": round(seconds, 1),
            "embed_query": embed.wire(),
            "search_1_client": one.wire(),
            "search_8_clients": eight.wire(),
            "beyond_embedding_p50_ms": round(one.p50_ms - embed.p50_ms, 3),
            "ratio_to_embedding_p50": round(one.p50_ms / embed.p50_ms, 3),
        }
        if has_writer:
            figures["beside_writer"] = await beside_writer(engine, next(questions), one)
    return figures


async def over_http(query_count: int) -> dict[str, object]:
    """Searches a second of a server in its own process, asked by several clients of this one."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        await fill_home(home, HTTP_CHUNKS)
        with serving(home) as (address, _, _):
            async with httpx2.AsyncClient(base_url=address, timeout=30) as client:

                async def ask(question: str) -> None:
                    response = await client.post("/v1/search", json={"query": question})
                    response.raise_for_status()

                await time_requests(ask, MadeUp(seed=31).questions(50), HTTP_CLIENTS)
                found = await time_requests(ask, MadeUp(seed=37).questions(query_count), HTTP_CLIENTS)
    return {"chunks": HTTP_CHUNKS, "clients": HTTP_CLIENTS, **found.wire()}


def table(figures: dict[str, dict[str, object]]) -> Table:
    shown = Table("figure", "value", title="Hybrid search")
    for name, part in figures.items():
        for key, value in part.items():
            shown.add_row(f"{name}: {key}", str(value))
    return shown


def main() -> None:
    options = arguments(__doc__).parse_args()
    quiet()
    sizes, query_count = ((1_000,), 50) if options.quick else ((10_000, 100_000), 300)
    figures: dict[str, dict[str, object]] = {}
    for size in sizes:
        work = in_process(size, query_count, has_writer=size == sizes[0])
        figures[f"in_process_{size}"] = asyncio.run(work)
    figures["http"] = asyncio.run(over_http(query_count * 5))
    console().print(table(figures))
    keep("query", figures, is_quick=options.quick)


if __name__ == "__main__":
    main()
