"""Whether a server stays as it is: mixed requests for minutes, its memory, threads and files looked at.

    python benchmarks/soak.py [--quick] [--minutes M] [--chunks N]

Four clients search, ask, repeat what was asked, add documents and remove them again. Every few seconds the
resident memory of the server and its parsers is read. Growth is the median of the last fifth less the median
of the second fifth; the first warms up. Raw figures go to benchmarks/results/soak.json.
"""

from __future__ import annotations

import as_served  # noqa: F401

# isort: split
import asyncio
import random
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import httpx2
import psutil

from query import fill_home
from ragstone.evaluate.machine import process_tree, resident_bytes
from ragstone.evaluate.made_up import MadeUp
from record import arguments, console, keep, quiet, serving

CLIENTS = 4
MINUTES = 10.0
KEPT_AT_ONCE = 20
LOOKS = 100


@dataclass(slots=True)
class Life:
    """What was done, and what the server took meanwhile."""

    done: Counter[str] = field(default_factory=Counter)
    memory: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)


async def live(client: httpx2.AsyncClient, life: Life, until: float, seed: int) -> None:
    """One client's mixture, the same for the same seed."""
    choose, source = random.Random(seed), MadeUp(seed=seed)
    questions, texts = source.questions(2_000), list(source.documents(500))
    added: list[str] = []
    while time.perf_counter() < until:
        question = choose.choice(questions[:50] if choose.random() < 0.5 else questions)
        what = choose.choices(("search", "ask", "add"), (6, 3, 1))[0]
        if what == "search":
            response = await client.post("/v1/search", json={"query": question})
        elif what == "ask":
            response = await client.post("/v1/ask", json={"question": question})
        else:
            response = await client.post("/v1/documents", json={"text": choose.choice(texts).text})
            if response.status_code == 201:
                added.append(response.json()["id"])
        life.done[f"{what} {response.status_code}"] += 1
        if len(added) > KEPT_AT_ONCE:
            removed = await client.delete(f"/v1/documents/{added.pop(0)}")
            life.done[f"remove {removed.status_code}"] += 1


async def watch(life: Life, pid: int, until: float, every_s: float) -> None:
    """Look at the processes now and then."""
    while time.perf_counter() < until:
        await asyncio.sleep(every_s)
        process = psutil.Process(pid)
        life.memory.append(resident_bytes(process_tree(pid)))
        life.threads.append(process.num_threads())
        life.files.append(process.num_fds())


async def soak(address: str, pid: int, seconds: float) -> Life:
    """A server's life for so long."""
    life, until = Life(), time.perf_counter() + seconds
    async with (
        httpx2.AsyncClient(base_url=address, timeout=60, trust_env=False) as client,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(watch(life, pid, until, seconds / LOOKS))
        for number in range(CLIENTS):
            group.create_task(live(client, life, until, 71 + number))
    return life


def growth(values: list[int]) -> float:
    """How much larger the end is than what came after the beginning."""
    fifth = max(1, len(values) // 5)
    return median(values[-fifth:]) - median(values[fifth : 2 * fifth])


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--chunks", type=int, default=2_000)
    options = parser.parse_args()
    quiet()
    seconds = 10.0 if options.quick else 60 * options.minutes
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        asyncio.run(fill_home(home, options.chunks))
        with serving(home) as (address, pid, _):
            life = asyncio.run(soak(address, pid, seconds))
    figures: dict[str, object] = {
        "minutes": round(seconds / 60, 2),
        "requests": dict(sorted(life.done.items())),
        "resident_mb": [round(size / 2**20, 1) for size in life.memory],
        "growth_mb": round(growth(life.memory) / 2**20, 1),
        "growth_threads": growth(life.threads),
        "growth_files": growth(life.files),
    }
    shown = {name: value for name, value in figures.items() if name != "resident_mb"}
    console().print(shown)
    keep("soak", figures, is_quick=options.quick)


if __name__ == "__main__":
    main()
