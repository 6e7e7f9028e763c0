"""Tracked questions below the doors: a tracker with a clock that the test sets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ragstone.analytics.answer_traces import AnswerTraces
from ragstone.analytics.asked import present_ms
from ragstone.analytics.asking import Asking
from ragstone.analytics.query_log import QueryLog
from ragstone.analytics.tracker import QueryTracker
from ragstone.service.queries import QueryService
from ragstone.settings import CacheSettings, Settings
from ragstone.store.database import Database
from ragstone.store.log_file import LogFile
from ragstone.store.queries import DAY_MS
from ragstone.telemetry.metrics import Metrics
from ragstone.types import LOCAL_OWNER, Principal, SearchRequest
from tests.support.corpus import open_store


@dataclass(slots=True)
class Tracked:
    """A database, one process's tracker on it, and the service that reads."""

    database: Database
    tracker: QueryTracker
    service: QueryService
    metrics: Metrics
    log: QueryLog
    days_back: int = 0

    def present_ms(self) -> int:
        """The tracker's clock."""
        return present_ms() - self.days_back * DAY_MS

    def ask(self, *questions: str, principal: Principal = LOCAL_OWNER, hits: int = 1) -> None:
        """Ask questions as searches."""
        for question in questions:
            self.tracker.record(Asking("search", SearchRequest(question, principal=principal)), hits)

    async def store(self, *questions: str) -> None:
        """Ask questions and store them."""
        self.ask(*questions)
        await self.tracker.flush()

    async def store_days_ago(self, days: int, questions: Iterable[str]) -> None:
        """Ask and store questions with the clock set back."""
        self.days_back = days
        await self.store(*questions)
        self.days_back = 0


def tracked_on(database: Database, **changed: int) -> Tracked:
    """A tracker of its own on an open database; not started, so that nothing is stored unasked."""
    settings = Settings(cache=CacheSettings.model_validate(changed))
    metrics = Metrics("0")
    found: list[Tracked] = []
    tracker = QueryTracker(database, settings.cache, metrics, lambda: found[0].present_ms())
    traces = AnswerTraces(database, settings.telemetry, metrics)
    log = QueryLog(LogFile(database.path.with_name("log.db")), settings.analytics, metrics)
    service = QueryService(database, tracker, log, settings, traces)
    found.append(Tracked(database, tracker, service, metrics, log))
    return found[0]


@asynccontextmanager
async def open_tracked(folder: Path, **changed: int) -> AsyncIterator[Tracked]:
    """The same on a database of its own."""
    async with open_store(folder / "ragstone.db") as database:
        yield tracked_on(database, **changed)
