"""Ingest of real documents: rate, memory, failures; and against embedding the same chunks alone.

    RAGSTONE_DATA=DIR python benchmarks/ingest.py [--step N] [--quick]

The files of data/files and every N-th of data/docs. The two sides of the ratio take turns, batch by batch:
ingest a batch of Markdown files until it is searchable and durable, then embed the texts of its chunks. Raw
figures go to benchmarks/results/ingest.json.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import median

from rich.table import Table

from ragstone.deadline import Deadline
from ragstone.errors import RagstoneError
from ragstone.evaluate.corpus import batches, open_temporary_engine
from ragstone.evaluate.machine import process_tree, resident_bytes
from ragstone.ingest.load import FoundFile, read, walk
from ragstone.ingest.request import IngestRequest
from ragstone.runtime.engine import Engine
from ragstone.settings import Settings
from ragstone.store.collections import find_collections
from ragstone.store.passages import document_keys, indexed_chunks
from ragstone.types import DEFAULT_COLLECTION, DEFAULT_TENANT, RawFile
from record import arguments, console, data_folder, keep, quiet

Read = Callable[[], RawFile]

IN_FLIGHT = 8
BATCH_FILES = 10
SAMPLE_S = 0.2


def on_disk(files: Sequence[FoundFile], settings: Settings) -> dict[str, Read]:
    """How to read the files, by name."""
    return {found.name: partial(read, found, settings.ingest.max_file_bytes) for found in files}


async def add_all(engine: Engine, files: Mapping[str, Read]) -> tuple[int, dict[str, str]]:
    """Take the files in; the chunks made, and the reason of each failure by name."""
    chunk_count, failures = 0, {}
    rest = iter(files.items())

    async def worker() -> None:
        nonlocal chunk_count
        for name, read_file in rest:
            try:
                request = IngestRequest(await asyncio.to_thread(read_file), source=name)
                written = await engine.documents.add(request, Deadline.after(120))
                chunk_count += written.chunk_count
            except RagstoneError as error:
                failures[name] = f"{error.code}: {error.message}"

    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(worker())
    return chunk_count, failures


async def watch_memory(peak: list[int]) -> None:
    """Keep the largest resident size of this process and its parsers in `peak[0]`."""
    while True:
        peak[0] = max(peak[0], resident_bytes(process_tree(os.getpid())))
        await asyncio.sleep(SAMPLE_S)


async def chunk_texts(engine: Engine, known: set[int]) -> list[str]:
    """What was embedded of the documents that are not in `known` yet."""
    async with engine.database.read() as connection:
        found = await find_collections(connection, DEFAULT_TENANT, (DEFAULT_COLLECTION,))
        keys = [key for key in await document_keys(connection, found[0].id) if key not in known]
        known.update(keys)
        batches_of_chunks = [batch async for batch in indexed_chunks(connection, keys)]
    return [f"{chunk.heading}\n{chunk.text}" for batch in batches_of_chunks for chunk in batch]


async def measure(files: Sequence[FoundFile], documents: Sequence[FoundFile]) -> dict[str, object]:
    """All figures."""
    peak = [0]
    async with open_temporary_engine(Settings()) as engine:
        watcher = asyncio.create_task(watch_memory(peak))
        start = time.perf_counter()
        chunk_count, failures = await add_all(engine, on_disk(files, engine.settings))
        file_seconds = time.perf_counter() - start
        known: set[int] = set()
        await chunk_texts(engine, known)
        turns: list[tuple[float, float, int]] = []
        for batch in batches(documents, BATCH_FILES):
            start = time.perf_counter()
            _, failed = await add_all(engine, on_disk(batch, engine.settings))
            middle = time.perf_counter()
            failures |= failed
            texts = await chunk_texts(engine, known)
            begin = time.perf_counter()
            await engine.embedder.embed_passages(texts)
            turns.append((middle - start, time.perf_counter() - begin, len(texts)))
        watcher.cancel()
    seconds = sum(turn[0] for turn in turns)
    return {
        "files": {
            "count": len(files),
            "chunks": chunk_count,
            "seconds": round(file_seconds, 2),
            "files_per_second": round(len(files) / file_seconds, 2),
        },
        "docs": {
            "count": len(documents),
            "chunks": sum(turn[2] for turn in turns),
            "seconds": round(seconds, 2),
            "files_per_second": round(len(documents) / seconds, 2),
            "chunks_per_second": round(sum(turn[2] for turn in turns) / seconds, 1),
        },
        "ratio_to_embedding_alone": round(median(turn[0] / turn[1] for turn in turns), 3),
        "turns": [[round(value, 3) for value in turn] for turn in turns],
        "peak_memory_mb": round(peak[0] / 2**20, 1),
        "failures": failures,
    }


def smallest(files: Sequence[FoundFile], count: int) -> list[FoundFile]:
    return sorted(files, key=lambda found: found.path.stat().st_size)[:count]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--step", type=int, default=25, help="every N-th of the Markdown files")
    options = parser.parse_args()
    quiet()
    files = list(walk([data_folder("files")]))
    documents = list(walk([data_folder("docs")]))[:: options.step]
    if options.quick:
        files, documents = smallest(files, 3), smallest(documents, 12)
    figures = asyncio.run(measure(files, documents))
    table = Table("figure", "value", title="Ingest")
    for key, value in figures.items():
        if key != "turns":
            table.add_row(key, str(value))
    console().print(table)
    keep("ingest", figures, is_quick=options.quick)


if __name__ == "__main__":
    main()
