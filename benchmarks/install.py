"""Size of an installation and how long `ragstone --help` takes.

    python benchmarks/install.py [--wheel WHEEL] [--quick]

A fresh virtual environment gets the wheel (built from this tree when none is named) with all its
dependencies; the size is that of the environment without pip. `--quick` times `--help` in the environment
that runs this. Raw figures go to benchmarks/results/install.json.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from statistics import median

from rich.table import Table

from record import arguments, console, keep

ROOT = Path(__file__).parents[1]
RUNS = 11


def help_ms(python: Path) -> list[float]:
    """Milliseconds of each run of `ragstone --help`, the first one aside."""
    times = []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        subprocess.run(
            [python, "-m", "ragstone.entrypoints.cli.main", "--help"], check=True, stdout=subprocess.DEVNULL
        )
        times.append((time.perf_counter() - start) * 1000)
    return times[1:]


def size_mb(folder: Path) -> float:
    """Disk use as `du` counts it."""
    found = subprocess.run(["du", "-sk", folder], check=True, capture_output=True, text=True)
    return int(found.stdout.split()[0]) / 1024


def install(folder: Path, wheel: Path | None) -> tuple[Path, dict[str, float]]:
    """Install into a fresh environment; its Python, and the sizes of its largest parts in MB."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", str(wheel or ROOT)],
        check=True,
    )
    packages = next((folder / "lib").glob("python*/site-packages"))
    sizes = {part.name: round(size_mb(part), 1) for part in packages.iterdir() if part.is_dir()}
    return python, dict(sorted(sizes.items(), key=lambda pair: -pair[1])[:15])


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--wheel", type=Path, help="install this file instead of building one")
    options = parser.parse_args()
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        python = Path(sys.executable)
        if not options.quick:
            python, figures["largest_mb"] = install(Path(folder), options.wheel)
            figures["size_mb"] = round(size_mb(Path(folder)), 1)
        times = help_ms(python)
    figures |= {"help_ms": round(median(times), 1), "help_runs_ms": [round(value, 1) for value in times]}
    table = Table("figure", "value", title="Installation")
    for key, value in figures.items():
        table.add_row(key, str(value))
    console().print(table)
    keep("install", figures, is_quick=options.quick)


if __name__ == "__main__":
    main()
