"""What the benchmarks share: where data lies, how a result is kept, a server in a process of its own."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from ragstone.evaluate.machine import describe_machine
from ragstone.telemetry.logs import configure_logs

RESULTS = Path(__file__).parent / "results"
START_LIMIT_S = 60.0


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser with the option that every benchmark has."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a small part, to see that it works")
    return parser


def quiet() -> None:
    """Only warnings: logs of every stage would be timed along."""
    from ragstone.settings import TelemetrySettings

    configure_logs(TelemetrySettings(log_level="warning"))


def data_folder(*parts: str) -> Path:
    """A folder of the test data."""
    root = os.environ.get("RAGSTONE_DATA")
    if not root:
        raise SystemExit("Set RAGSTONE_DATA to the folder with the test data.")
    return Path(root).joinpath(*parts)


def keep(name: str, figures: Mapping[str, object], *, is_quick: bool) -> None:
    """Write the figures with the machine's description; a quick run is only shown."""
    content = {"machine": describe_machine(), **figures}
    if is_quick:
        print(json.dumps(content, indent=2))
        return
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def console() -> Console:
    """Wide enough for the tables, terminal or not."""
    return Console(width=120, highlight=False)


@contextmanager
def serving(home: Path, settings: Mapping[str, str] | None = None) -> Iterator[tuple[str, int, float]]:
    """`ragstone serve` on a home: its address, its process id, and when the process was started.

    Its messages go nowhere once it answers; `settings` are variables of its environment.
    """
    command = [
        sys.executable,
        "-m",
        "ragstone.entrypoints.cli.main",
        "serve",
        "--port",
        "0",
        "--home",
        str(home),
    ]
    environment = os.environ | {"RAGSTONE_TELEMETRY__LOG_LEVEL": "warning"} | dict(settings or {})
    started = time.perf_counter()
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            address = _address(process)
            # Read on: a full pipe would stop the server.
            threading.Thread(target=process.communicate, daemon=True).start()
            yield address, process.pid, started
        finally:
            process.terminate()
            try:
                process.wait(START_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _address(process: subprocess.Popen[str]) -> str:
    if process.stderr is None:
        raise RuntimeError("the server's messages are not piped")
    for line in process.stderr:
        found = re.search(r"answers at (http://\S+?)[\s(]", line)
        if found:
            return found[1]
    raise SystemExit(f"The server ended with {process.wait()} before it answered.")
