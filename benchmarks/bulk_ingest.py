"""Ingest of 100,000 chunks of made-up text, against embedding the same chunks alone.

    python benchmarks/bulk_ingest.py [--quick] [--chunks N]

A chunk is a sentence of about 35 tokens: a sixth of a usual one, so that what ingest adds to embedding weighs
six times as much. All is ingested; the texts of every `COMPARED`-th batch are embedded alone right after it.
The rate of each tenth shows what growth costs. Raw figures go to benchmarks/results/bulk_ingest.json.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from statistics import median

from rich.table import Table

from ingest import Read, add_all, chunk_texts, watch_memory
from ragstone.evaluate.corpus import batches, open_temporary_engine
from ragstone.evaluate.made_up import MadeUp
from ragstone.settings import Settings
from ragstone.types import RawFile
from record import arguments, console, keep, quiet

CHUNKS = 100_000
CHUNK_TOKENS = 56
ENTRIES = 10
"""Topics in one document."""
BATCH_DOCUMENTS = 20
COMPARED = 5
TENTHS = 10


def documents(count: int) -> list[tuple[str, RawFile]]:
    """Documents of a few topics, one after the other."""
    made = batches(list(MadeUp().documents(count * ENTRIES)), ENTRIES)
    return [
        (f"{number}.txt", RawFile("\n\n".join(entry.text for entry in some).encode(), f"{number}.txt"))
        for number, some in enumerate(made)
    ]


def readers(batch: list[tuple[str, RawFile]]) -> Mapping[str, Read]:
    """As files on disk are read, without a disk."""
    return {name: (lambda file=file: file) for name, file in batch}


def rates(turns: list[tuple[int, float]], parts: int) -> list[float]:
    """Chunks a second of each part of the run."""
    size = max(1, len(turns) // parts)
    grouped = [turns[start : start + size] for start in range(0, size * min(parts, len(turns)), size)]
    return [round(sum(turn[0] for turn in some) / sum(turn[1] for turn in some), 1) for some in grouped]


async def measure(wanted: int) -> dict[str, object]:
    """All figures."""
    settings = Settings()
    ingest = settings.ingest.model_copy(update={"chunk_max_tokens": CHUNK_TOKENS, "chunk_overlap_tokens": 0})
    peak, known = [0], set[int]()
    turns: list[tuple[int, float]] = []
    ratios: list[float] = []
    failures: dict[str, str] = {}
    async with open_temporary_engine(settings.model_copy(update={"ingest": ingest})) as engine:
        watcher = asyncio.create_task(watch_memory(peak))
        supply = iter(batches(documents(wanted // ENTRIES), BATCH_DOCUMENTS))
        while sum(turn[0] for turn in turns) < wanted:
            batch = next(supply)
            start = time.perf_counter()
            made, failed = await add_all(engine, readers(batch))
            taken = time.perf_counter() - start
            failures |= failed
            turns.append((made, taken))
            texts = await chunk_texts(engine, known)
            if len(turns) % COMPARED == 0:
                start = time.perf_counter()
                await engine.embedder.embed_passages(texts)
                ratios.append(taken / (time.perf_counter() - start))
        watcher.cancel()
        size = engine.home.database.stat().st_size
    chunks, seconds = sum(turn[0] for turn in turns), sum(turn[1] for turn in turns)
    return {
        "chunks": chunks,
        "documents": len(known),
        "seconds": round(seconds, 1),
        "chunks_per_second": round(chunks / seconds, 1),
        "chunks_per_second_by_tenth": rates(turns, TENTHS),
        "ratio_to_embedding_alone": round(median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "peak_memory_mb": round(peak[0] / 2**20, 1),
        "database_mb": round(size / 2**20, 1),
        "failures": failures,
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--chunks", type=int, default=CHUNKS)
    options = parser.parse_args()
    quiet()
    figures = asyncio.run(measure(4_500 if options.quick else options.chunks))
    table = Table("figure", "value", title="Bulk ingest")
    for key, value in figures.items():
        table.add_row(key, str(value))
    console().print(table)
    keep("bulk_ingest", figures, is_quick=options.quick)


if __name__ == "__main__":
    main()
