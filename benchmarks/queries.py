"""Tracked questions at a million distinct ones: popular, completions, similar, what counting costs.

    python benchmarks/queries.py [--quick] [--questions N] [--database FILE]

Questions are made of a vocabulary by Zipf's law behind common beginnings, and asked by Zipf's law, over 30
days. They are stored through the tracker, as requests are, with a clock that is set back. Reads are timed in
the process, through the service, one after the other. Raw figures go to benchmarks/results/queries.json.
"""

from __future__ import annotations

import as_served  # noqa: F401

# isort: split
import asyncio
import itertools
import json
import random
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

from rich.table import Table

from ragstone.analytics.answer_traces import AnswerTraces
from ragstone.analytics.asked import present_ms
from ragstone.analytics.asking import Asking
from ragstone.analytics.query_log import QueryLog
from ragstone.analytics.tracker import FLUSH_AT, QueryTracker
from ragstone.evaluate.corpus import batches
from ragstone.evaluate.timing import latency_of, time_requests
from ragstone.service.queries import PopularRequest, QueryService
from ragstone.settings import Settings, StoreSettings
from ragstone.store.database import Database, open_database
from ragstone.store.log_file import LogFile
from ragstone.store.queries import DAY_MS
from ragstone.telemetry.metrics import Metrics
from ragstone.types import SearchRequest
from record import arguments, console, keep, quiet

VOCABULARY = 30_000
BEGINNINGS = {
    "how do i ": 20,
    "what is the ": 18,
    "": 15,
    "can i ": 10,
    "where is ": 8,
    "when does the ": 8,
    "why ": 6,
    "what are ": 6,
    "who ": 5,
    "which ": 4,
}
DAYS = 30
TIMED = 1_000
TURNS = 3
PREFIX_LENGTHS = (1, 2, 3, 4, 6, 8, 10, 12, 16, 24, 40)


def vocabulary(choose: random.Random) -> list[str]:
    """Pronounceable words, the first ones the most frequent."""
    words: dict[str, None] = {}
    while len(words) < VOCABULARY:
        syllables = (
            choose.choice("bcdfghklmnprst") + choose.choice("aeiou") for _ in range(choose.randint(1, 4))
        )
        words["".join(syllables)] = None
    return list(words)


def questions(count: int, seed: int = 5) -> Iterator[str]:
    """So many different questions."""
    choose = random.Random(seed)
    words = vocabulary(choose)
    weights = list(itertools.accumulate(1 / rank for rank in range(1, len(words) + 1)))
    seen: set[str] = set()
    while len(seen) < count:
        beginning = choose.choices(list(BEGINNINGS), weights=list(BEGINNINGS.values()))[0]
        question = beginning + " ".join(choose.choices(words, cum_weights=weights, k=choose.randint(2, 6)))
        if question not in seen:
            seen.add(question)
            yield question


def times_asked(count: int, seed: int = 6) -> list[int]:
    """How often each of them is asked, by Zipf's law with exponent 1, in random order."""
    asked = [max(1, count // (7 * rank)) for rank in range(1, count + 1)]
    random.Random(seed).shuffle(asked)
    return asked


async def fill(database: Database, settings: Settings, count: int) -> dict[str, object]:
    """Store every question through the tracker: on one day, or spread over all when asked often."""
    day = [0]
    tracker = QueryTracker(database, settings.cache, Metrics("0"), lambda: present_ms() - day[0] * DAY_MS)
    choose = random.Random(7)
    by_day: list[list[tuple[str, int]]] = [[] for _ in range(DAYS)]
    for question, asked in zip(questions(count), times_asked(count), strict=True):
        if asked < DAYS:
            by_day[choose.randrange(DAYS)].append((question, asked))
        else:
            for one in by_day:
                one.append((question, asked // DAYS))
    flushes: list[float] = []
    started = time.perf_counter()
    for back in range(DAYS - 1, -1, -1):
        day[0] = back
        for batch in batches(by_day[back], FLUSH_AT):
            for question, asked in batch:
                asking = Asking("search", SearchRequest(question))
                for _ in range(asked):
                    tracker.record(asking, 1)
            began = time.perf_counter()
            await tracker.flush()
            flushes.append(time.perf_counter() - began)
    seconds = time.perf_counter() - started
    slices = len(flushes) * FLUSH_AT
    return {
        "seconds": round(seconds, 1),
        "questions_per_flush": FLUSH_AT,
        "flush": latency_of(flushes, sum(flushes)).wire(),
        "ms_per_question": round(sum(flushes) * 1000 / slices, 3),
    }


async def timed(ask: Callable[[str], Awaitable[object]], asked: Sequence[str]) -> dict[str, float]:
    """The latency of one client, each figure the median of three turns; the first tenth only warms up."""
    for question in asked[: len(asked) // 10]:
        await ask(question)
    turns = [await time_requests(ask, asked, 1) for _ in range(TURNS)]
    return {
        "p50_ms": round(median(turn.p50_ms for turn in turns), 3),
        "p95_ms": round(median(turn.p95_ms for turn in turns), 3),
    }


async def reads(service: QueryService, known: Sequence[str]) -> dict[str, object]:
    """Every way of reading."""
    changed = [" ".join(question.split()[1:]) for question in known]
    other = list(itertools.islice(questions(len(known), seed=99), len(known)))

    async def of_days(days: str) -> None:
        await service.popular(PopularRequest(100, days=int(days)))

    async def filtered(text: str) -> None:
        await service.popular(PopularRequest(10, text=text))

    few = known[:200]
    return {
        "popular_top_100": await timed(lambda _: service.popular(PopularRequest(100)), few),
        "popular_top_100_of_7_days": await timed(of_days, ["7"] * 200),
        "popular_top_100_of_30_days": await timed(of_days, ["30"] * 200),
        "popular_with_a_word": await timed(filtered, [question.split()[-1] for question in few]),
        "autocomplete": {
            str(length): await timed(service.complete, [question[:length] for question in known])
            for length in PREFIX_LENGTHS
        },
        "autocomplete_every_letter": await timed(service.complete, list("abcdefghijklmnopqrstuvwxyz") * 20),
        "autocomplete_without_match": await timed(service.complete, ["qxz" + text for text in few]),
        "similar_to_known": await timed(service.similar, known),
        "similar_without_first_word": await timed(service.similar, changed),
        "similar_to_new": await timed(service.similar, other),
        "similar_to_frequent_words_only": await timed(service.similar, frequent(len(few))),
        "statistics": await timed(lambda _: service.statistics(), few),
        "found_without_first_word": await found_again(service, known, changed),
    }


def frequent(count: int) -> list[str]:
    """Questions of the hundred most frequent words only: the longest lists of candidates."""
    choose = random.Random(5)
    words = vocabulary(choose)[:100]
    return ["how do i " + " ".join(choose.choices(words, k=3)) for _ in range(count)]


async def found_again(service: QueryService, known: Sequence[str], changed: Sequence[str]) -> float:
    """How often a question is among the ten that are like it without its first word."""
    hits = 0
    for question, asked in zip(known, changed, strict=True):
        hits += any(one.query.question == question for one in await service.similar(asked))
    return round(hits / len(known), 3)


async def measure(path: Path, count: int) -> dict[str, object]:
    """All figures but the size; erasing is done on a copy."""
    settings = Settings()
    async with opened(path) as database:
        stored = await filled(database, settings, count)
        service = service_on(database, settings)
        known = random.Random(8).sample(list(questions(count)), min(TIMED, count))
        figures = await reads(service, known)
        figures["record_us"] = record_us(tracker_on(database, settings), known)
    with tempfile.TemporaryDirectory() as folder:
        async with opened(Path(shutil.copy(path, folder))) as copy:
            service = service_on(copy, settings)
            erased = await erasing(copy, service, known[0])
    return {"questions": count, "stored": stored, "reads": figures, "erased": erased}


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Database]:
    """A database whose log is emptied, and which is closed at the end."""
    database = await open_database(path, StoreSettings())
    try:
        yield database
        await database.empty_log()
    finally:
        await database.aclose()


async def filled(database: Database, settings: Settings, count: int) -> object:
    """The figures of filling the database, now or at an earlier run on the same file."""
    kept = database.path.with_suffix(".json")
    if kept.exists():
        return json.loads(kept.read_text("utf-8"))
    figures = await fill(database, settings, count)
    await database.empty_log()
    figures["database_mb"] = round(database.path.stat().st_size / 2**20, 1)
    kept.write_text(json.dumps(figures), "utf-8")
    return figures


def traces_on(database: Database, settings: Settings) -> AnswerTraces:
    """Traces, which nothing is recorded in."""
    return AnswerTraces(database, settings.telemetry, Metrics("0"))


def tracker_on(database: Database, settings: Settings) -> QueryTracker:
    """A tracker that stores nothing by itself."""
    return QueryTracker(database, settings.cache, Metrics("0"))


def service_on(database: Database, settings: Settings) -> QueryService:
    """The service, with a log that stays empty."""
    log = QueryLog(LogFile(database.path.with_name("log.db")), settings.analytics, Metrics("0"))
    tracker, traces = tracker_on(database, settings), traces_on(database, settings)
    return QueryService(database, tracker, log, settings, traces)


async def erasing(database: Database, service: QueryService, question: str) -> dict[str, object]:
    """One question, then all; and how long a write of somebody else waits meanwhile at most."""
    began = time.perf_counter()
    one = await service.erase(question)
    one_s = time.perf_counter() - began
    waits: list[float] = []
    began = time.perf_counter()
    everything = asyncio.create_task(service.erase())
    while not everything.done():
        asked = time.perf_counter()
        async with database.write():
            waits.append(time.perf_counter() - asked)
        await asyncio.sleep(0.05)
    return {
        "questions": [one.count, (await everything).count],
        "one_ms": round(one_s * 1000, 1),
        "all_s": round(time.perf_counter() - began, 2),
        "writes_beside": latency_of(waits, sum(waits)).wire(),
    }


def record_us(tracker: QueryTracker, known: Sequence[str]) -> float:
    """Microseconds that a request spends on being counted."""
    askings = [Asking("search", SearchRequest(question)) for question in known]
    began = time.perf_counter()
    for asking in askings:
        tracker.record(asking, 1)
    seconds = time.perf_counter() - began
    tracker.forget(lambda *_: True)
    return round(seconds * 1e6 / len(askings), 1)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--questions", type=int, default=1_000_000, help="different questions")
    parser.add_argument("--database", type=Path, help="kept, and not filled again when it is there")
    options = parser.parse_args()
    quiet()
    with tempfile.TemporaryDirectory() as folder:
        path = options.database or Path(folder) / "ragstone.db"
        figures = asyncio.run(measure(path, 20_000 if options.quick else options.questions))
    table = Table("figure", "value", title="Tracked questions")
    for key, value in figures.items():
        table.add_row(key, str(value))
    console().print(table)
    keep("queries", figures, is_quick=options.quick)


if __name__ == "__main__":
    main()
