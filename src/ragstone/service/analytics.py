"""What the log tells: statistics, questions, documents, patterns, costs, errors, rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import anyio
from anyio import to_thread

from ragstone.analytics.asked import present_ms
from ragstone.analytics.clusters import QuestionGroup, group_questions
from ragstone.analytics.export import ExportTable
from ragstone.analytics.reports import (
    Costs,
    LogStatistics,
    NamedDocument,
    Patterns,
    Relevance,
    read_costs,
    read_patterns,
    read_relevance,
    read_statistics,
)
from ragstone.errors import DeadlineExceeded, InvalidRequest
from ragstone.store.log_choice import ANY_ROW, LAST_WEEK, Period, QuestionKind, RowFilter
from ragstone.store.log_pages import document_names
from ragstone.store.log_tables import TABLES
from ragstone.store.queries import audience_of
from ragstone.store.query_log_reads import (
    DAY_MS,
    ErrorGroup,
    LoggedQuestion,
    LogRange,
    Row,
    document_uses,
    error_groups,
    questions,
    rows,
    texts,
)
from ragstone.types import LOCAL_OWNER, Principal

if TYPE_CHECKING:
    from ragstone.models.ports import Embedder
    from ragstone.settings import Settings
    from ragstone.store.database import Database
    from ragstone.store.log_file import LogConnection, LogFile

T = TypeVar("T")

MOST_LISTED = 1_000
GROUPED = 300
"""Questions that are compared with each other, the most asked ones."""
GROUPING_LIMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """Errors by kind, and the newest ones."""

    groups: Sequence[ErrorGroup]
    newest: Sequence[Row]


class AnalyticsService:
    """Everything that is read of the log. What is asked is found some two seconds later."""

    def __init__(self, file: LogFile, database: Database, embedder: Embedder, settings: Settings) -> None:
        self._file = file
        self._database = database
        self._embedder = embedder
        self._settings = settings

    async def statistics(
        self, period: Period = LAST_WEEK, principal: Principal = LOCAL_OWNER
    ) -> LogStatistics:
        """What was asked, how it went, how long it took.

        Raises:
            InvalidRequest: the period is empty.
        """
        low = self._settings.analytics.low_relevance
        return await self._read(period, principal, lambda found, wanted: read_statistics(found, wanted, low))

    async def questions(
        self,
        kind: QuestionKind = "all",
        period: Period = LAST_WEEK,
        limit: int = 20,
        principal: Principal = LOCAL_OWNER,
    ) -> list[LoggedQuestion]:
        """Questions whose askings came to `kind`, most asked first, the slowest first of kind `slow`.

        Raises:
            InvalidRequest: the limit is out of range.
        """
        _check_limit(limit)
        low = self._settings.analytics.low_relevance
        return await self._read(
            period, principal, lambda found, wanted: questions(found, wanted, kind, low, limit)
        )

    async def documents(
        self, period: Period = LAST_WEEK, limit: int = 20, principal: Principal = LOCAL_OWNER
    ) -> list[NamedDocument]:
        """Documents by how many requests found them; one that is gone has no name any more.

        Raises:
            InvalidRequest: the limit is out of range.
        """
        _check_limit(limit)
        uses = await self._read(period, principal, lambda found, wanted: document_uses(found, wanted, limit))
        async with self._database.read() as connection:
            names = await document_names(connection, principal, [use.document_id for use in uses])
        return [
            NamedDocument(use, name.title, name.source, name.collection)
            if (name := names.get(use.document_id)) is not None
            else NamedDocument(use, None, None, None)
            for use in uses
        ]

    async def relevance(self, period: Period = LAST_WEEK, principal: Principal = LOCAL_OWNER) -> Relevance:
        """How well the best hits of questions fit."""
        low = self._settings.analytics.low_relevance
        return await self._read(period, principal, lambda found, wanted: read_relevance(found, wanted, low))

    async def patterns(
        self, period: Period = LAST_WEEK, limit: int = 20, principal: Principal = LOCAL_OWNER
    ) -> Patterns:
        """The words, hours and lengths of questions.

        Raises:
            InvalidRequest: the limit is out of range.
        """
        _check_limit(limit)
        return await self._read(period, principal, lambda found, wanted: read_patterns(found, wanted, limit))

    async def clusters(
        self, period: Period = LAST_WEEK, limit: int = 20, principal: Principal = LOCAL_OWNER
    ) -> list[QuestionGroup]:
        """Groups of questions that mean about the same, among the `GROUPED` most asked ones.

        Raises:
            InvalidRequest: the limit is out of range.
            DependencyFailed: the embedding model does not answer.
            DeadlineExceeded: it takes longer than `GROUPING_LIMIT_S`.
            Overloaded: it has more to do than may wait.
        """
        _check_limit(limit)
        asked = await self._read(period, principal, lambda found, wanted: texts(found, wanted, GROUPED))
        if not asked:
            return []
        try:
            with anyio.fail_after(GROUPING_LIMIT_S):
                # As passages: behind searches, and past the breaker that they depend on.
                vectors = await self._embedder.embed_passages([question for question, _ in asked])
        except TimeoutError as error:
            raise DeadlineExceeded(f"Embedding took over {GROUPING_LIMIT_S:g} s; ask for less.") from error
        return (await to_thread.run_sync(group_questions, asked, vectors))[:limit]

    async def costs(self, period: Period = LAST_WEEK, principal: Principal = LOCAL_OWNER) -> Costs:
        """Tokens that were spent and what they cost, by model and by day."""
        return await self._read(period, principal, read_costs)

    async def errors(
        self,
        period: Period = LAST_WEEK,
        chosen: RowFilter = ANY_ROW,
        limit: int = 20,
        principal: Principal = LOCAL_OWNER,
    ) -> ErrorReport:
        """What went wrong: by type, service and severity, and the newest ones that fit.

        Raises:
            InvalidRequest: the limit is out of range.
        """
        _check_limit(limit)
        return await self._read(
            period,
            principal,
            lambda found, wanted: ErrorReport(
                error_groups(found, wanted, limit), rows(found, TABLES["error_logs"], wanted, chosen, limit)
            ),
        )

    async def rows(
        self,
        table: ExportTable,
        period: Period = LAST_WEEK,
        chosen: RowFilter = ANY_ROW,
        limit: int = 20,
        principal: Principal = LOCAL_OWNER,
    ) -> list[Row]:
        """The newest rows of a table that fit, newest first.

        Raises:
            InvalidRequest: the limit is out of range.
        """
        _check_limit(limit)
        return await self._read(
            period, principal, lambda found, wanted: rows(found, TABLES[table], wanted, chosen, limit)
        )

    async def _read(
        self, period: Period, principal: Principal, work: Callable[[LogConnection, LogRange], T]
    ) -> T:
        wanted = range_of(period, principal)
        return await self._file.read(lambda connection: work(connection, wanted))


def range_of(period: Period, principal: Principal) -> LogRange:
    """The rows that a principal may read in a period.

    Raises:
        InvalidRequest: the period is empty.
    """
    until = present_ms() + 1 if period.until_ms is None else period.until_ms
    since = until - period.days * DAY_MS if period.since_ms is None else period.since_ms
    if since >= until:
        raise InvalidRequest(
            f"The period is empty: it begins at {_shown(since)} and ends at {_shown(until)}."
        )
    audience = None if principal.access_groups is None else audience_of(principal)
    return LogRange(principal.tenant_id, max(0, since), until, audience)


def _shown(at_ms: int) -> str:
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):  # beyond the years that a date can have
        return f"{at_ms} ms since 1970"


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= MOST_LISTED:
        raise InvalidRequest(f"limit is {limit}; it must lie between 1 and {MOST_LISTED}.", limit=limit)
