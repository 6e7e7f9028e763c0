"""What watching costs: the server's processor time of a request with logs, percentiles and traces on and off.

    python benchmarks/monitoring.py [--quick]

Servers with different settings run side by side on equal homes and are asked in turn, round by round, so that
a busy machine slows all alike: a repeated question, a repeated search (both from memory, the dearest share),
and searches made anew. Shares are of the processor time of a request on the server that watches least.
The counters of Prometheus are always on, and measured apart, with a line of the log, a recorded time and a
span that is not traced.
Raw figures go to benchmarks/results/monitoring.json.
"""

from __future__ import annotations

import as_served  # noqa: F401

# isort: split
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing, redirect_stderr
from pathlib import Path
from statistics import median

import structlog
from rich.table import Table

from cache import Connection
from ragstone.entrypoints.python_blocking import Ragstone
from ragstone.settings import TelemetrySettings
from ragstone.telemetry.caller import Caller, set_caller
from ragstone.telemetry.logs import configure_logs
from ragstone.telemetry.metrics import Metrics
from ragstone.telemetry.spans import span
from record import arguments, console, keep, serving

LEAST = "nothing"
OFF = {
    "RAGSTONE_TELEMETRY__LOG_LEVEL": "error",
    "RAGSTONE_TELEMETRY__PERCENTILES": "false",
    "RAGSTONE_TELEMETRY__ANSWER_TRACES": "0",
    "RAGSTONE_TELEMETRY__SLOW_REQUEST_MS": "0",
}
ROUNDS, REPEATED, ANEW, DOCUMENTS = 20, 1_000, 30, 300
PARTS_TIMES = 20_000
Asking = Mapping[str, object]


def variants(folder: Path) -> dict[str, dict[str, str]]:
    """Settings by name; the defaults are `logs to stderr`."""
    return {
        LEAST: OFF,
        "percentiles": {**OFF, "RAGSTONE_TELEMETRY__PERCENTILES": "true"},
        "answer traces": {**OFF, "RAGSTONE_TELEMETRY__ANSWER_TRACES": "10000"},
        "logs to stderr": {**OFF, "RAGSTONE_TELEMETRY__LOG_LEVEL": "info"},
        "defaults": {"RAGSTONE_TELEMETRY__LOG_LEVEL": "info"},
        "all, logs to a file": {
            "RAGSTONE_TELEMETRY__LOG_LEVEL": "info",
            "RAGSTONE_TELEMETRY__LOG_FILE": str(folder / "ragstone.log"),
            "RAGSTONE_TELEMETRY__REPORT_EVERY_S": "60",
        },
    }


def fill(home: Path) -> None:
    """The same few documents everywhere."""
    with Ragstone(home) as rag:
        for number in range(DOCUMENTS):
            rag.add_text(
                f"# Station {number}\n\nTrain {number} leaves at {number % 24} from platform {number % 9}."
            )


def processor_s(pid: int) -> float:
    """Processor time of another process in nanosecond steps, that of threads that have ended included.

    The number of its clock is made as in the kernel's `posix-timers_types.h`: the pid's complement and the
    kind of clock, 2 for the scheduler's.
    """
    return time.clock_gettime((~pid << 3) | 2)


def spent_us(connection: Connection, pid: int, requests: list[bytes]) -> float:
    """Processor time of one of these requests."""
    before = processor_s(pid)
    for request in requests:
        connection.exchange(request)
    return 1e6 * (processor_s(pid) - before) / len(requests)


def workloads(connection: Connection, round_number: int, *, is_quick: bool) -> dict[str, list[bytes]]:
    """What is asked in one round."""
    repeated = REPEATED // 10 if is_quick else REPEATED
    ask = connection.request("/v1/ask", {"question": "When does train 7 leave?"})
    search = connection.request("/v1/search", {"query": "platform of train 7"})
    anew = [
        connection.request("/v1/search", {"query": f"train {number} in round {round_number}", "cache": False})
        for number in range(ANEW // 10 if is_quick else ANEW)
    ]
    return {
        "repeated question": [ask] * repeated,
        "repeated search": [search] * repeated,
        "search anew": anew,
    }


def measure(folder: Path, *, is_quick: bool) -> dict[str, object]:
    """Processor time per request for every variant and workload."""
    spent: dict[str, dict[str, list[float]]] = {}
    with ExitStack() as stack:
        servers = {}
        for number, (name, environment) in enumerate(variants(folder).items()):
            home = folder / f"home-{number}"
            fill(home)
            address, pid, _ = stack.enter_context(serving(home, environment))
            servers[name] = (address, pid)
        for round_number in range(-1, 3 if is_quick else ROUNDS):
            for name, (address, pid) in servers.items():
                # A connection for each turn: the server closes one that rests while the others are asked.
                with closing(Connection(address)) as connection:
                    for workload, requests in workloads(connection, round_number, is_quick=is_quick).items():
                        figure = spent_us(connection, pid, requests)
                        if round_number >= 0:  # the first round fills the caches
                            spent.setdefault(workload, {}).setdefault(name, []).append(figure)
    return {workload: shares(by_name) for workload, by_name in spent.items()}


def shares(by_name: Mapping[str, list[float]]) -> dict[str, object]:
    """The second quickest round of each, and what it costs over the variant that watches least.

    Others on the machine only ever add to a round: the quick ones tell the price, the median the noise.
    """
    base = _quick(by_name[LEAST])
    return {
        name: {
            "processor_us": round(_quick(found), 1),
            "median_us": round(median(found), 1),
            "over_us": round(_quick(found) - base, 2),
            "share": round(_quick(found) / base - 1, 4),
        }
        for name, found in by_name.items()
    }


def _quick(rounds: list[float]) -> float:
    return sorted(rounds)[1]


def parts() -> dict[str, float]:
    """Microseconds of the single steps in this process, the least of nine runs."""
    configure_logs(TelemetrySettings(log_format="json"), ["a-secret-of-some-length"], is_lasting=True)
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stderr(nowhere):
        return _parts()


def _parts() -> dict[str, float]:
    set_caller(Caller("http", "a" * 32, "127.0.0.1"))
    log, metrics = structlog.get_logger("ragstone.benchmark"), Metrics("0")

    def line() -> None:
        log.info("http_response", method="POST", route="/v1/ask", status=200, duration_ms=0.213)

    def nothing_traced() -> None:
        with span("answer.cache"):
            pass

    return {
        "log line at info": _least_us(line),
        "log line below the level": _least_us(lambda: log.debug("http_request", method="POST")),
        "recorded time": _least_us(lambda: metrics.percentiles.observe("POST", "/v1/ask", 0.0002)),
        "counters and histogram of a request": _least_us(
            lambda: metrics.observe_http("POST", "/v1/ask", 200, 0.0002)
        ),
        "span that is not traced": _least_us(nothing_traced),
    }


def _least_us(step: Callable[[], None]) -> float:
    runs = []
    for _ in range(9):
        began = time.process_time()
        for _ in range(PARTS_TIMES):
            step()
        runs.append(time.process_time() - began)
    return round(1e6 * min(runs) / PARTS_TIMES, 3)


def show(figures: Mapping[str, object]) -> None:
    """As tables."""
    for workload, found in figures.items():
        table = Table("", "processor us", "over us", "share", title=workload, box=None)
        for name, one in json.loads(json.dumps(found)).items():
            table.add_row(name, str(one["processor_us"]), str(one["over_us"]), f"{one['share']:.2%}")
        console().print(table)


def main() -> None:
    """Measure, show, keep."""
    options = arguments(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), is_quick=options.quick)
    show(figures)
    steps = parts()
    console().print(steps)
    keep("monitoring", {"requests": figures, "steps_us": steps}, is_quick=options.quick)


if __name__ == "__main__":
    main()
