"""The log at a million requests: what writing costs, look-ups, aggregates.

    python benchmarks/analytics.py [--quick] [--requests N] [--log FILE]

One request of five searched and left ten accesses, the others came from a cache. The log is filled in
large batches, then batches are written as the server writes them, all searched, ten hits each.
Reads go through the service, one after the other; figures are medians of three turns.
Raw figures go to benchmarks/results/analytics.json.
"""

from __future__ import annotations

import as_served  # noqa: F401

# isort: split
import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import cast
from uuid import UUID

from rich.table import Table
from sqlalchemy import event
from sqlalchemy.pool import Pool

from ragstone.analytics.asked import Asked, present_ms
from ragstone.analytics.asking import Asking
from ragstone.analytics.log_rows import LogRows, Noted, RowNumbers
from ragstone.analytics.query_log import FLUSH_AT, QueryLog
from ragstone.models.ports import Embedder
from ragstone.service.analytics import AnalyticsService
from ragstone.settings import AnalyticsSettings, Settings, StoreSettings
from ragstone.store.database import Database, open_database
from ragstone.store.log_choice import Period, RowFilter
from ragstone.store.log_file import LogFile
from ragstone.store.query_log import LogBatch, store_batch
from ragstone.telemetry.caller import Caller
from ragstone.telemetry.metrics import Metrics
from ragstone.types import (
    AnswerId,
    ChunkKey,
    Citation,
    DocumentId,
    Hit,
    LegScore,
    ScoreBreakdown,
    SearchRequest,
    Span,
)
from record import arguments, console, keep, quiet

DOCUMENTS, CLIENTS, QUESTIONS = 20_000, 300, 100_000
DAYS_MS = 30 * 86_400_000
FILLED_AT_ONCE = 5_000
BATCHES, LOOK_UPS = 300, 300
TURNS = 3
HITS = 10
SEARCHED_OF = 5


class Traffic:
    """Requests as a server sees them, spread evenly over thirty days."""

    def __init__(self, count: int, seed: int = 7) -> None:
        self.choose = random.Random(seed)
        self.count = count
        self.end_ms = present_ms()
        self.documents = [str(UUID(int=self.choose.getrandbits(128))) for _ in range(DOCUMENTS)]

    def at_ms(self, number: int) -> int:
        """When the request of this number was asked."""
        return self.end_ms - DAYS_MS + number * DAYS_MS // self.count

    def asked(self, at_ms: int, *, is_repeated: bool) -> Asked:
        """A request: a few questions are asked by many, one of fifty fails or finds nothing."""
        choose = self.choose
        question = f"How do I set option {int(QUESTIONS * choose.random() ** 3)} of the module?"
        fate = choose.random()
        hits = () if is_repeated or fate < 0.02 else tuple(self._hit() for _ in range(HITS))
        error = "generator_failed" if fate < 0.005 else None
        return Asked(
            Asking("ask", SearchRequest(question)),
            {"retrieve": choose.gauss(20, 4), "quote": 9.0, "total": choose.gauss(40, 8)},
            hit_count=HITS if is_repeated else len(hits),
            hits=hits,
            cache="hit" if is_repeated else "miss",
            answer_id=AnswerId(str(UUID(int=choose.getrandbits(128)))),
            mode="extractive",
            citations=() if not hits else (self._citation(hits[0]),),
            error_code=error,
            caller=Caller("http", f"{choose.getrandbits(128):032x}", f"10.0.{choose.randrange(CLIENTS)}.7"),
            at_ms=at_ms,
        )

    def _hit(self) -> Hit:
        share = min(1.0, abs(self.choose.gauss(0.6, 0.15)))
        scores = ScoreBreakdown(None, LegScore(1, share, share), share)
        document = self.documents[int(DOCUMENTS * self.choose.random() ** 2)]
        chunk = str(UUID(int=self.choose.getrandbits(128)))
        key, span = ChunkKey(1), Span(0, 1)
        return Hit(
            key, chunk, DocumentId(document), "default", "T", None, "x", share, span, None, (), {}, scores
        )

    def _citation(self, hit: Hit) -> Citation:
        return Citation(1, hit.document_id, hit.chunk_id, "T", None, "x", hit.span, None, ())


async def fill(file: LogFile, traffic: Traffic) -> dict[str, object]:
    """The rows of the past."""
    rows = LogRows(AnalyticsSettings(), RowNumbers())
    began = time.perf_counter()
    for start in range(0, traffic.count, FILLED_AT_ONCE):
        numbers = range(start, min(traffic.count, start + FILLED_AT_ONCE))
        made = [
            rows.of(Noted.of(traffic.asked(traffic.at_ms(n), is_repeated=n % SEARCHED_OF != 0)))
            for n in numbers
        ]
        batch = LogBatch([row for row, _ in made], [access for _, found in made for access in found])
        await file.write(lambda connection, batch=batch: store_batch(connection, batch))  # type: ignore[misc]
    await file.empty_log()
    return {
        "requests": traffic.count,
        "accesses": traffic.count // SEARCHED_OF * HITS,
        "seconds": round(time.perf_counter() - began, 1),
        "file_mb": round(file.path.stat().st_size / 2**20, 1),
    }


def kept(file: LogFile, count: int) -> dict[str, object]:
    """What an earlier run left."""
    return {"requests": count, "file_mb": round(file.path.stat().st_size / 2**20, 1)}


async def written(path: Path, traffic: Traffic, *, is_full: bool) -> dict[str, object]:
    """Batches as the server stores them; `is_full` waits for the disk as the truth does."""
    log = QueryLog(LogFile(path), AnalyticsSettings(), Metrics("0"))
    if is_full:
        event.listen(Pool, "checkout", _wait_for_the_disk)
    times: list[float] = []
    notes = [traffic.asked(0, is_repeated=False) for _ in range(FLUSH_AT)]
    cpu_s = recorded_s = 0.0
    try:
        for _ in range(BATCHES):
            now = present_ms()
            batch = [replace(asked, at_ms=now) for asked in notes]
            began = time.perf_counter()
            for asked in batch:
                log.record(asked)
            recorded_s += time.perf_counter() - began
            began, cpu = time.perf_counter(), time.process_time()
            await log.flush()
            times.append(time.perf_counter() - began)
            cpu_s += time.process_time() - cpu
    finally:
        if is_full:
            event.remove(Pool, "checkout", _wait_for_the_disk)
        await log.aclose()
    requests = BATCHES * FLUSH_AT
    return {
        "requests_per_batch": FLUSH_AT,
        "rows_per_batch": FLUSH_AT * (1 + HITS),
        **medians([times[at : at + BATCHES // TURNS] for at in range(0, BATCHES, BATCHES // TURNS)]),
        "record_us": round(recorded_s * 1e6 / requests, 1),
        "cpu_us_per_request": round(cpu_s * 1e6 / requests, 1),
    }


async def repeats(path: Path, traffic: Traffic) -> dict[str, object]:
    """What a request costs that was answered from a cache: no hits, one row."""
    log = QueryLog(LogFile(path), AnalyticsSettings(), Metrics("0"))
    asked = [traffic.asked(present_ms(), is_repeated=True) for _ in range(2_000)]
    began = time.perf_counter()
    for one in asked:
        log.record(one)
    recorded_s = time.perf_counter() - began
    cpu = time.process_time()
    await log.flush()
    cpu_s = time.process_time() - cpu
    await log.aclose()
    return {
        "record_us": round(recorded_s * 1e6 / len(asked), 1),
        "cpu_us_per_request": round(cpu_s * 1e6 / len(asked), 1),
    }


def _wait_for_the_disk(raw: object, _record: object, _proxy: object) -> None:
    cursor = cast("Callable[[str], object]", raw.execute)  # type: ignore[attr-defined]
    cursor("PRAGMA synchronous=FULL")


async def reads(service: AnalyticsService, traffic: Traffic) -> dict[str, object]:
    """Look-ups by an index, aggregates over a thousand requests and over all."""
    choose = random.Random(3)
    span_ms = 1_000 * DAYS_MS // traffic.count
    ends = [traffic.end_ms - choose.randrange(DAYS_MS - span_ms) for _ in range(LOOK_UPS)]
    thousand = [Period(end - span_ms, end) for end in ends]
    days = [Period(end - 86_400_000, end) for end in ends]
    clients = [RowFilter(client=f"10.0.{choose.randrange(CLIENTS)}.7") for _ in ends]
    documents = [RowFilter(document_id=choose.choice(traffic.documents)) for _ in ends]
    failed, month = RowFilter(is_success=False), Period(days=31)

    async def by_client(at: int) -> None:
        await service.rows("query_logs", days[at], clients[at])

    async def by_document(at: int) -> None:
        await service.rows("document_accesses", month, documents[at])

    async def failures(at: int) -> None:
        await service.rows("query_logs", days[at], failed)

    async def newest(at: int) -> None:
        await service.rows("query_logs", days[at])

    return {
        "look_ups": {
            "client_and_time": await timed(by_client),
            "document": await timed(by_document),
            "failed": await timed(failures),
            "time": await timed(newest),
        },
        "aggregates_of_1000": {
            "statistics": await timed(lambda at: service.statistics(thousand[at]), 60),
            "documents": await timed(lambda at: service.documents(thousand[at]), 60),
            "unanswered": await timed(lambda at: service.questions("unanswered", thousand[at]), 60),
            "patterns": await timed(lambda at: service.patterns(thousand[at]), 60),
        },
        "aggregates_of_all": {
            "statistics": await timed(lambda _: service.statistics(month), 3),
            "documents": await timed(lambda _: service.documents(month), 3),
            "without_hits": await timed(lambda _: service.questions("without_hits", month), 3),
        },
    }


async def timed(ask: Callable[[int], Awaitable[object]], count: int = LOOK_UPS) -> dict[str, float]:
    """One client, one after the other; each figure the median of three turns."""
    turns: list[list[float]] = []
    for _ in range(TURNS):
        times: list[float] = []
        for at in range(count):
            began = time.perf_counter()
            await ask(at)
            times.append(time.perf_counter() - began)
        turns.append(times)
    return medians(turns)


def medians(turns: Sequence[Sequence[float]]) -> dict[str, float]:
    """Of the turns' percentiles: what else the machine does in one of them counts little."""
    return {
        name: median(_rounded(times, share) for times in turns)
        for name, share in (("p50_ms", 0.5), ("p95_ms", 0.95))
    }


def _rounded(times: Sequence[float], share: float) -> float:
    return round(sorted(times)[min(len(times) - 1, int(len(times) * share))] * 1000, 3)


async def measure(folder: Path, path: Path, count: int, *, is_new: bool) -> dict[str, object]:
    """All figures."""
    traffic, settings = Traffic(count), Settings()
    file = LogFile(path)
    database: Database = await open_database(folder / "ragstone.db", StoreSettings())
    try:
        filled = await fill(file, traffic) if is_new else kept(file, count)
        log = QueryLog(file, settings.analytics, Metrics("0"))
        service = AnalyticsService(log.file, database, cast("Embedder", None), settings)
        return {
            "filled": filled,
            "reads": await reads(service, traffic),
            "batches": await written(path, traffic, is_full=False),
            "batches_that_wait_for_the_disk": await written(path, traffic, is_full=True),
            "repeated": await repeats(path, traffic),
        }
    finally:
        await database.aclose()
        await file.aclose()


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000, help="requests in the log")
    parser.add_argument("--log", type=Path, help="kept, and not filled again when it is there")
    options = parser.parse_args()
    quiet()
    with tempfile.TemporaryDirectory() as folder:
        path = options.log or Path(folder) / "log.db"
        count = 20_000 if options.quick else options.requests
        figures = asyncio.run(measure(Path(folder), path, count, is_new=not path.exists()))
    table = Table("figure", "value", title="The log")
    for key, value in figures.items():
        table.add_row(key, str(value))
    console().print(table)
    keep("analytics", figures, is_quick=options.quick)


if __name__ == "__main__":
    main()
