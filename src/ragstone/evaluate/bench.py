"""What this machine does: ingest rate, query latency by mode and number of clients, memory."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ragstone.deadline import Deadline
from ragstone.evaluate.corpus import batches, ingest, open_temporary_engine, store_volumes
from ragstone.evaluate.machine import describe_machine, resident_bytes
from ragstone.evaluate.made_up import MadeUp
from ragstone.evaluate.timing import Latency, time_requests
from ragstone.types import SearchMode, SearchRequest

if TYPE_CHECKING:
    from rich.table import Table

    from ragstone.runtime.engine import Engine
    from ragstone.settings import Settings
    from ragstone.types import Matrix

MODES: tuple[SearchMode, ...] = ("hybrid", "lexical", "dense")
CLIENTS = (1, 8)
COLLECTION = "bench"
MOST_INGESTED = 1_000
"""Documents that go through the whole ingest; the rest are rows with random vectors, which search as fast."""
STORED_AT_ONCE = 5_000
SEARCH_BUDGET_S = 60.0


@dataclass(frozen=True, slots=True)
class BenchReport:
    """Figures of one run; `searches` by mode, then by number of clients.

    Every question is new, so its embedding is computed; `embed_query` is that step alone, one client.
    """

    chunk_count: int
    query_count: int
    ingested_chunks: int
    ingest_chunks_per_s: float
    embed_query: Latency
    searches: Mapping[SearchMode, Mapping[int, Latency]]
    resident_mb: float
    machine: Mapping[str, object]


async def run_bench(settings: Settings, *, chunk_count: int, query_count: int) -> BenchReport:
    """Fill an engine of its own with made-up documents and time it.

    Cost: embedding at most `MOST_INGESTED` documents and seven times `query_count` questions.
    """
    source = MadeUp()
    async with open_temporary_engine(settings) as engine:
        ingested, seconds = await fill(engine, COLLECTION, source, chunk_count)
        questions = batches(source.questions(query_count * (len(MODES) * len(CLIENTS) + 1)), query_count)
        embed = await time_requests(partial(embed_query, engine), next(questions), 1)
        searches = {
            mode: {
                clients: await time_requests(
                    partial(search, engine, COLLECTION, mode), next(questions), clients
                )
                for clients in CLIENTS
            }
            for mode in MODES
        }
        return BenchReport(
            chunk_count=(await engine.collections.get(COLLECTION)).chunk_count,
            query_count=query_count,
            ingested_chunks=ingested,
            ingest_chunks_per_s=ingested / seconds,
            embed_query=embed,
            searches=searches,
            resident_mb=resident_bytes() / 2**20,
            machine=describe_machine(),
        )


async def fill(engine: Engine, collection: str, source: MadeUp, chunk_count: int) -> tuple[int, float]:
    """Bring a new collection to about `chunk_count`; the chunks really ingested, and the seconds of that."""
    made = await engine.collections.create(collection)
    documents = source.documents(chunk_count)
    start = time.perf_counter()
    first = [entry for entry, _ in zip(documents, range(MOST_INGESTED), strict=False)]
    filled = await ingest(engine, collection, first)
    seconds = time.perf_counter() - start
    for batch in batches(documents, STORED_AT_ONCE):
        await store_volumes(engine, made, batch, random_rows(len(batch), engine.embedder.dim))
    return filled.chunk_count, seconds


def random_rows(count: int, dim: int, seed: int = 3) -> Matrix:
    """Unit rows without any structure: an exact scan takes as long on them as on real ones."""
    rows = np.random.default_rng(seed).standard_normal((count, dim), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


async def embed_query(engine: Engine, question: str) -> None:
    """The part of a search that the model takes."""
    await engine.embedder.embed_query(question, Deadline.after(SEARCH_BUDGET_S))


async def search(engine: Engine, collection: str, mode: SearchMode, question: str) -> None:
    """One search for ten hits."""
    request = SearchRequest(question, (collection,), mode)
    await engine.search.search(request, Deadline.after(SEARCH_BUDGET_S))


def bench_wire(report: BenchReport) -> dict[str, object]:
    """The report as plain dictionaries."""
    return {
        "chunks": report.chunk_count,
        "queries": report.query_count,
        "ingest": {
            "chunks": report.ingested_chunks,
            "chunks_per_second": round(report.ingest_chunks_per_s, 1),
        },
        "embed_query": report.embed_query.wire(),
        "search": {
            mode: {f"{clients}_clients": latency.wire() for clients, latency in by_clients.items()}
            for mode, by_clients in report.searches.items()
        },
        "resident_mb": round(report.resident_mb, 1),
        "machine": dict(report.machine),
    }


def bench_table(report: BenchReport) -> Table:
    """The report as a table for people."""
    from rich.table import Table

    table = Table(
        title=f"{report.chunk_count} chunks, {report.query_count} new questions a row",
        caption=f"ingest {report.ingest_chunks_per_s:.0f} chunks/s, memory {report.resident_mb:.0f} MB, "
        f"{report.machine['processor']}, {report.machine['cores']} cores",
    )
    table.add_column("request")
    for name in ("clients", "p50 ms", "p95 ms", "per second"):
        table.add_column(name, justify="right")
    table.add_row("embed a question", "1", *_cells(report.embed_query))
    for mode, by_clients in report.searches.items():
        for clients, latency in by_clients.items():
            table.add_row(f"search, {mode}", str(clients), *_cells(latency))
    return table


def _cells(latency: Latency) -> tuple[str, str, str]:
    return f"{latency.p50_ms:.2f}", f"{latency.p95_ms:.2f}", f"{latency.per_second:.0f}"
