"""Uploads and edits on a running server, and searches beside a bulk ingest; all over HTTP.

    python benchmarks/updates.py [--quick] [--chunks N]

One small file from upload to searchable; one paragraph changed in a text of about 1,000 pages, by its
embeddings and its time; searches of eight clients alone and while others upload as fast as they can, and
what these keep of their rate. Rates alone and together are taken in turns. Raw figures go to
benchmarks/results/updates.json.
"""

from __future__ import annotations

import as_served  # noqa: F401

# isort: split
import asyncio
import itertools
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import httpx2
from rich.table import Table

from query import fill_home
from ragstone.evaluate.corpus import batches
from ragstone.evaluate.made_up import MadeUp
from ragstone.evaluate.timing import Latency, latency_of, time_requests
from record import arguments, console, keep, quiet, serving

SEARCHERS, UPLOADERS = 8, 4
PAGE_CHARS = 2_500
TURN_S = 8.0


async def small_uploads(client: httpx2.AsyncClient, count: int, seed: int) -> Latency:
    """One small Markdown file after the other, each searchable when its request returns."""
    times: list[float] = []
    for entry in MadeUp(seed).documents(count):
        files = {"file": (f"{seed}-{entry.id}.md", entry.text.encode())}
        start = time.perf_counter()
        response = await client.post("/v1/documents", files=files, data={"collection": "small"})
        times.append(time.perf_counter() - start)
        if response.status_code != 201:
            raise SystemExit(f"An upload was answered with {response.status_code}: {response.text}")
    return latency_of(times, sum(times))


def long_text(pages: int) -> list[str]:
    """Paragraphs of about so many pages, without a heading: the hardest to cut the same way again."""
    paragraphs, size = [], 0
    for entry in MadeUp(seed=43).documents(1_000_000):
        paragraphs.append(entry.text)
        size += len(entry.text)
        if size > pages * PAGE_CHARS:
            break
    return paragraphs


async def edits(client: httpx2.AsyncClient, pages: int, count: int) -> dict[str, object]:
    """One paragraph rewritten at a time; `embedded` counts the chunks that the model saw."""
    paragraphs, choose = long_text(pages), random.Random(7)
    body = {"text": "\n\n".join(paragraphs), "title": "A long report", "source": "report"}
    added = (await client.post("/v1/documents", json=body)).raise_for_status().json()
    times, embedded = [], []
    for entry in MadeUp(seed=47).documents(count):
        paragraphs[choose.randrange(len(paragraphs))] = entry.text
        body = {"text": "\n\n".join(paragraphs), "title": "A long report"}
        start = time.perf_counter()
        response = await client.put(f"/v1/documents/{added['id']}", json=body)
        times.append(time.perf_counter() - start)
        embedded.append(response.raise_for_status().json()["embedded_count"])
    return {
        "characters": len(body["text"]),
        "chunks": added["chunk_count"],
        **latency_of(times, sum(times)).wire(),
        "embedded_at_most": max(embedded),
        "embedded": embedded,
    }


async def upload_until(client: httpx2.AsyncClient, stop: asyncio.Event, numbers: Iterator[int]) -> int:
    """Upload small files, several at a time, until told to stop; how many were stored."""
    stored = 0

    async def uploader() -> None:
        nonlocal stored
        for entry in MadeUp(seed=next(numbers)).documents(1_000_000):
            if stop.is_set():
                return
            files = {"file": (f"{entry.id}-{next(numbers)}.md", entry.text.encode())}
            form = {"collection": "bulk", "priority": "bulk"}
            (await client.post("/v1/documents", files=files, data=form)).raise_for_status()
            stored += 1

    await asyncio.gather(*(uploader() for _ in range(UPLOADERS)))
    return stored


async def beside_ingest(client: httpx2.AsyncClient, questions: Iterator[list[str]]) -> dict[str, object]:
    """Searches and uploads, each alone and together, in turns."""
    numbers = itertools.count(1000)

    async def ask(question: str) -> None:
        (await client.post("/v1/search", json={"query": question})).raise_for_status()

    async def ingest_for(seconds: float) -> float:
        stop, start = asyncio.Event(), time.perf_counter()
        uploading = asyncio.create_task(upload_until(client, stop, numbers))
        await asyncio.sleep(seconds)
        stop.set()
        return await uploading / (time.perf_counter() - start)

    turns = []
    for batch in questions:
        half = len(batch) // 2
        idle = await time_requests(ask, batch[:half], SEARCHERS)
        alone = await ingest_for(TURN_S)
        stop, start = asyncio.Event(), time.perf_counter()
        uploading = asyncio.create_task(upload_until(client, stop, numbers))
        together = await time_requests(ask, batch[half:], SEARCHERS)
        stop.set()
        beside = await uploading / (time.perf_counter() - start)
        turns.append((idle, together, alone, beside))
    return {
        "search_alone": turns[-1][0].wire(),
        "search_beside": turns[-1][1].wire(),
        "search_p95_ratio": round(median(turn[1].p95_ms / turn[0].p95_ms for turn in turns), 2),
        "uploads_per_second_alone": round(median(turn[2] for turn in turns), 1),
        "uploads_per_second_beside": round(median(turn[3] for turn in turns), 1),
        "kept_share_of_uploads": round(median(turn[3] / turn[2] for turn in turns), 3),
    }


async def measure(chunks: int, *, is_quick: bool) -> dict[str, object]:
    """All figures."""
    few = 3 if is_quick else 40
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        await fill_home(home, chunks)
        with serving(home) as (address, _, _):
            async with httpx2.AsyncClient(base_url=address, timeout=600) as client:
                await small_uploads(client, 5, seed=40)
                uploads = await small_uploads(client, few, seed=41)
                changed = await edits(client, 20 if is_quick else 1_000, 3 if is_quick else 20)
                size = 32 if is_quick else 320
                questions = batches(MadeUp(seed=53).questions(size * (1 if is_quick else 3)), size)
                beside = await beside_ingest(client, questions)
    return {
        "chunks": chunks,
        "small_upload": uploads.wire(),
        "one_paragraph_of_1000_pages": changed,
        "beside_ingest": beside,
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--chunks", type=int, default=5_000, help="chunks in the searched collection")
    options = parser.parse_args()
    quiet()
    figures = asyncio.run(measure(1_000 if options.quick else options.chunks, is_quick=options.quick))
    table = Table("figure", "value", title="Uploads and edits")
    for key, value in figures.items():
        table.add_row(key, str(value))
    console().print(table)
    keep("updates", figures, is_quick=options.quick)


if __name__ == "__main__":
    main()
