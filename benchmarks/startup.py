"""Cold start: from the command to the first answer, with 5,000 chunks; and memory at rest.

    python benchmarks/startup.py [--quick]

`ragstone serve` is started anew for every run on the same home; its first start builds nothing that a later
one would not. Processor seconds are those of the server: on a busy machine they say more than the clock.
Memory is that of the process tree after the first answer. Raw figures go to
benchmarks/results/startup.json.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from statistics import median

import httpx2
from rich.table import Table

from query import fill_home
from ragstone.evaluate.machine import cpu_seconds, process_tree, resident_bytes
from ragstone.evaluate.made_up import MadeUp
from record import arguments, console, keep, quiet, serving

QUESTION = {"question": MadeUp().questions(1)[0]}


def start_once(home: Path) -> tuple[float, float, float]:
    """Seconds from the command to the first answer, the memory then in MB, the processor seconds used."""
    with serving(home) as (address, pid, started):
        httpx2.post(f"{address}/v1/ask", json=QUESTION, timeout=60).raise_for_status()
        seconds = time.perf_counter() - started
        return seconds, resident_bytes(process_tree(pid)) / 2**20, cpu_seconds(pid)


def measure(count: int, repeats: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(fill_home(Path(folder), count))
        runs = [start_once(Path(folder)) for _ in range(repeats)]
    return {
        "chunks": count,
        "first_start_s": round(runs[0][0], 3),
        "repeated_start_s": round(median(run[0] for run in runs[1:] or runs), 3),
        "processor_s": round(median(run[2] for run in runs), 3),
        "resident_mb": round(median(run[1] for run in runs), 1),
        "runs_s": [round(run[0], 3) for run in runs],
    }


def main() -> None:
    options = arguments(__doc__).parse_args()
    quiet()
    plan = ((1_000, 2),) if options.quick else ((5_000, 6), (100_000, 2))
    figures = {f"{count}_chunks": measure(count, repeats) for count, repeats in plan}
    table = Table("size", "figure", "value", title="Start")
    for size, found in figures.items():
        for key, value in found.items():
            table.add_row(size, key, str(value))
    console().print(table)
    keep("startup", figures, is_quick=options.quick)


if __name__ == "__main__":
    main()
