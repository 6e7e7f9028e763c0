"""The log below the doors: what waits, what is dropped, what is erased, what is too old."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ragstone.analytics import query_log
from ragstone.analytics.asked import Asked, present_ms
from ragstone.analytics.asking import Asking
from ragstone.analytics.error_log import ErrorLog, description_of, places_of, severity_of
from ragstone.analytics.query_log import QueryLog
from ragstone.errors import GeneratorFailed, InvalidRequest, StoreFailed
from ragstone.settings import AnalyticsSettings, TokenPrice
from ragstone.store.log_choice import RowFilter
from ragstone.store.log_file import LogFile
from ragstone.store.log_tables import TABLES
from ragstone.store.query_log import Subject
from ragstone.store.query_log_reads import DAY_MS, LogRange, Row, rows
from ragstone.telemetry.caller import Caller
from ragstone.telemetry.metrics import Metrics
from ragstone.types import DEFAULT_TENANT, AnswerMode, CacheUse, SearchRequest, Usage

pytestmark = pytest.mark.anyio
BUSY_S = 0.05
EVER = LogRange(DEFAULT_TENANT, 0, 2**42)


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[LogFile]:
    """A log that waits for nobody."""
    file = LogFile(tmp_path / "log.db", BUSY_S)
    yield file
    await file.aclose()


def log_on(file: LogFile, settings: AnalyticsSettings | None = None) -> QueryLog:
    """One process's log; not started, so that nothing is stored unasked."""
    return QueryLog(file, settings or AnalyticsSettings(), Metrics("0"), "m")


def asked(
    question: str,
    *,
    at_ms: int | None = None,
    cache: CacheUse = "off",
    client: str = "",
    mode: AnswerMode = "generated",
) -> Asked:
    """An answer to a question."""
    return Asked(
        Asking("ask", SearchRequest(question)),
        {"retrieve": 5.0, "generate": 80.0, "total": 90.0},
        cache=cache,
        mode=mode,
        usage=Usage(1_000, 100),
        caller=Caller("http", question, client),
        at_ms=present_ms() if at_ms is None else at_ms,
    )


async def rows_in(file: LogFile, table: str = "query_logs") -> list[Row]:
    """Everything, newest first."""
    return await file.read(lambda found: rows(found, TABLES[table], EVER, RowFilter(), 1_000))


async def test_tokens_and_cost_are_of_what_was_generated(file: LogFile) -> None:
    """By the price of the model; nothing for an answer from a cache, no cost without a price."""
    log = log_on(file, AnalyticsSettings(prices={"m": TokenPrice(prompt=2.0, completion=10.0)}))
    log.record(asked("new?"))
    log.record(asked("cached?", cache="hit"))
    log.record(asked("again?", cache="evidence"))
    await log.flush()

    found = {
        row["question"]: (row["prompt_tokens"], row["cost"], row["model"]) for row in await rows_in(file)
    }
    assert found["new?"] == (1_000, pytest.approx(0.003), "m")
    assert found["cached?"] == (0, None, "m") and found["again?"] == (0, None, "m")


async def test_what_comes_when_the_buffer_is_full_is_dropped_and_counted(
    file: LogFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request itself goes on."""
    monkeypatch.setattr(query_log, "BUFFERED", 2)
    metrics = Metrics("0")
    log = QueryLog(file, AnalyticsSettings(), metrics)
    for number in range(5):
        log.record(asked(f"{number}?"))
    await log.flush()

    assert len(await rows_in(file)) == 2
    assert (
        'ragstone_log_rows_total{outcome="dropped",table="query_logs"} 3.0' in metrics.exposition().decode()
    )


async def test_a_file_that_fails_loses_nothing_and_keeps_the_order(file: LogFile) -> None:
    """While another process holds the turn, rows wait; those that wait for too long are dropped."""
    log = log_on(file)
    log.record(asked("too old?", at_ms=present_ms() - 2 * query_log.OLDEST_MS))
    for number in range(60):
        log.record(asked(f"{number:02}?"))
    await file.read(lambda _: None)
    other = sqlite3.connect(file.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreFailed):
        await log.flush()
    other.execute("ROLLBACK")
    other.close()
    assert log.waiting_count == 60
    await log.flush()

    assert sorted(str(row["question"]) for row in await rows_in(file)) == [f"{n:02}?" for n in range(60)]


async def test_an_erasure_reaches_what_waits_in_other_processes(tmp_path: Path, file: LogFile) -> None:
    """Of a client; what it asks afterwards is logged, and so is everybody else."""
    here, there = log_on(file), log_on(LogFile(tmp_path / "log.db", BUSY_S))
    for log in (here, there):
        log.record(asked("Mine?", client="a"))
        log.record(asked("Yours?", client="b"))
    await here.flush()
    only = await here.asked_only_by(DEFAULT_TENANT, Subject("client", "a"))
    count = await here.erase(DEFAULT_TENANT, Subject("client", "a"))
    there.record(asked("Later?", client="a", at_ms=present_ms() + 10))
    await there.aclose()

    assert (count, len(only)) == (1, 1)
    assert sorted(str(row["question"]) for row in await rows_in(file)) == ["Later?", "Yours?", "Yours?"]


async def test_old_rows_go_and_young_ones_stay(file: LogFile) -> None:
    """Once a day, by the setting; more than one slice of them."""
    log = log_on(file, AnalyticsSettings(retention_days=10))
    for number in range(1_100):
        log.record(asked(f"{number}?", at_ms=present_ms() - 11 * DAY_MS))
    log.record(asked("young?", at_ms=present_ms() - 9 * DAY_MS))
    await log.flush()
    await log.tidy()

    assert [row["question"] for row in await rows_in(file)] == ["young?"]


async def test_an_error_is_noted_once_and_without_its_words(file: LogFile) -> None:
    """However many doors it passes; secrets in messages, arguments and locals stay out."""
    log = log_on(file)
    errors = ErrorLog(log)
    secret = "s3cret"
    try:
        try:
            int(secret)
        except ValueError as error:
            raise GeneratorFailed(f"The generator said {secret}.") from error
    except GeneratorFailed as error:
        failed = Asked(
            Asking("ask", SearchRequest(secret)),
            {},
            error_code=error.code,
            error=error,
            caller=Caller("http", "r1"),
        )
        errors.note_asked(failed)
        errors.note_asked(failed)
    await log.flush()

    (row,) = await rows_in(file, "error_logs")
    assert (row["type"], row["severity"], row["operation"]) == ("GeneratorFailed", "error", "ask")
    assert secret not in str(row) and "builtins.ValueError" in str(row["stack"])
    assert "test_query_log.py" in str(row["stack"])


async def test_what_was_raised_from_a_noted_error_is_the_same_failure(file: LogFile) -> None:
    """A worker notes the cause; whoever waited for the job is told in other words. Another failure counts."""
    log = log_on(file)
    errors = ErrorLog(log)
    cause, told = KeyError("a"), StoreFailed("in other words")
    told.__cause__ = cause
    errors.note(cause, "parse", service="worker")
    errors.note(told, "POST /v1/documents")
    errors.note(StoreFailed("another"), "POST /v1/documents")
    await log.flush()

    found = {(row["type"], row["service"]) for row in await rows_in(file, "error_logs")}
    assert found == {("KeyError", "worker"), ("StoreFailed", "python")}
    assert len(await rows_in(file, "error_logs")) == 2


def test_errors_are_described_by_their_class() -> None:
    """Whose fault it is, what kind it is."""
    assert severity_of(InvalidRequest("x")) == "warning"
    assert severity_of(ZeroDivisionError("x")) == "critical"
    assert description_of(FileNotFoundError(2, "x", "/home/ann")) == "No such file or directory"
    assert list(places_of(KeyError("word"))) == ["builtins.KeyError"]
