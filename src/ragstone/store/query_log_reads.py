"""Reading the log: totals, groups, latencies, questions, documents, errors, the machine.

Every function reads the rows of one tenant in a range of time, and of one audience unless all may be seen.
Times come from the newest `MOST_TIMED` rows at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Table, and_, case, func, or_, select

from ragstone.store.log_choice import QuestionKind, RowFilter
from ragstone.store.log_tables import document_accesses, error_logs, first_number, query_logs
from ragstone.types import TenantId

MOST_TIMED = 100_000
HOUR_MS, DAY_MS = 3_600_000, 86_400_000

q = query_logs.c


@dataclass(frozen=True, slots=True)
class LogRange:
    """Whose rows, of which time: `[since_ms, until_ms)`. `audience` None is every one of the tenant."""

    tenant_id: TenantId
    since_ms: int
    until_ms: int
    audience: str | None = None

    def of(self, table: Table) -> list[ColumnElement[bool]]:
        """The conditions on a table's rows, for a look into one of its indexes."""
        wanted = [
            table.c.tenant_id == self.tenant_id,
            table.c.at_ms >= self.since_ms,
            table.c.at_ms < self.until_ms,
        ]
        return [*wanted, *self._of_audience(table)]

    def all_of(self, table: Table) -> list[ColumnElement[bool]]:
        """The same for going through all of them, in the order in which they lie."""
        key = next(iter(table.primary_key.columns))
        # An index that begins with the tenant would lead to every row by itself.
        wanted = [
            table.c.tenant_id.op("||")("") == self.tenant_id,
            key >= first_number(self.since_ms),
            key < first_number(self.until_ms),
        ]
        return [*wanted, *self._of_audience(table)]

    def _of_audience(self, table: Table) -> list[ColumnElement[bool]]:
        if self.audience is not None and "audience" in table.c:
            return [table.c.audience == self.audience]
        return []


@dataclass(frozen=True, slots=True)
class LogCounts:
    """Requests of one day that have every feature in common, added up."""

    day: int
    """Since 1970, UTC."""
    door: str
    kind: str
    mode: str
    cache: str
    answer_mode: str | None
    error_code: str | None
    asked: int
    succeeded: int
    total_ms: float
    timed: int
    without_hits: int
    low_relevance: int
    unanswered: int
    degraded: int
    reranked: int
    hybrid: int
    expanded: int
    expansions: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None


@dataclass(frozen=True, slots=True)
class LoggedQuestion:
    """A question with what came of its askings; `question` is None where only hashes are kept."""

    question: str | None
    question_hash: str
    asked: int
    first_ms: int
    last_ms: int
    mean_ms: float | None
    best_relevance: float | None
    error_code: str | None


@dataclass(frozen=True, slots=True)
class DocumentUse:
    """How often a document was among the hits of requests."""

    document_id: str
    queries: int
    accesses: int
    citations: int
    mean_rank: float
    mean_score: float
    last_ms: int


@dataclass(frozen=True, slots=True)
class Spending:
    """Tokens of one model, or of one day; `cost` is None where no price is known."""

    model: str | None
    day: int | None
    generations: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    unpriced: int
    """Generations whose model had no price."""


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Errors of one type, service and severity."""

    type: str
    code: str
    service: str
    severity: str
    count: int
    last_ms: int
    message: str


def counts(connection: Connection, wanted: LogRange, low_relevance: float) -> list[LogCounts]:
    """Everything that is counted, in one walk over the rows: they are wide, and a million is 0.9 GB."""
    day = _floored(q.at_ms, DAY_MS).label("day")
    keys = (day, q.door, q.kind, q.mode, q.cache, q.answer_mode, q.error_code)
    statement = (
        select(
            *keys,
            func.count(),
            _count(q.is_success),
            func.coalesce(func.sum(q.total_ms), 0.0),
            func.count(q.total_ms),
            _count(_of_kind("without_hits", low_relevance)),
            _count(_of_kind("low_relevance", low_relevance)),
            _count(_of_kind("unanswered", low_relevance)),
            _count(q.is_degraded),
            _count(q.is_reranked),
            _count(q.is_hybrid),
            _count(q.expansion_count > 0),
            func.coalesce(func.sum(q.expansion_count), 0),
            func.coalesce(func.sum(q.prompt_tokens), 0),
            func.coalesce(func.sum(q.completion_tokens), 0),
            func.sum(q.cost),
        )
        .where(*wanted.all_of(query_logs))
        .group_by(*keys)
    )
    return [LogCounts(*tuple(row)) for row in connection.execute(statement)]


def hours(connection: Connection, wanted: LogRange) -> dict[tuple[int, int], int]:
    """How often was asked, by weekday (Monday is 0) and hour of the day, UTC."""
    hour = _floored(q.at_ms, HOUR_MS).label("hour")
    statement = select(hour, func.count()).where(*wanted.all_of(query_logs)).group_by("hour")
    found: dict[tuple[int, int], int] = {}
    for number, count in connection.execute(statement):
        # 1 January 1970 was a Thursday.
        key = ((int(number) // 24 + 3) % 7, int(number) % 24)
        found[key] = found.get(key, 0) + count
    return found


Times = tuple[float | None, float | None, float | None]


def latencies(connection: Connection, wanted: LogRange) -> list[Times]:
    """Milliseconds of the newest requests: in all, of retrieval, of generation."""
    statement = (
        select(q.total_ms, q.retrieval_ms, q.generation_ms)
        .where(*wanted.all_of(query_logs))
        .order_by(q.id.desc())
        .limit(MOST_TIMED)
    )
    return [(row[0], row[1], row[2]) for row in connection.execute(statement)]


def relevances(connection: Connection, wanted: LogRange) -> list[float]:
    """The relevance of the best hit of the newest requests that have hits of their own."""
    statement = (
        select(q.best_relevance)
        .where(*wanted.all_of(query_logs), q.best_relevance.is_not(None))
        .order_by(q.id.desc())
        .limit(MOST_TIMED)
    )
    return list(connection.execute(statement).scalars())


def texts(connection: Connection, wanted: LogRange, limit: int) -> list[tuple[str, int]]:
    """Different questions with how often they were asked, most asked first."""
    count = func.count()
    statement = (
        select(func.max(q.question), count)
        .where(*wanted.all_of(query_logs), q.question.is_not(None))
        .group_by(q.question_hash)
        .order_by(count.desc(), func.max(q.at_ms).desc())
        .limit(limit)
    )
    return [(row[0], row[1]) for row in connection.execute(statement)]


def questions(
    connection: Connection, wanted: LogRange, kind: QuestionKind, low_relevance: float, limit: int
) -> list[LoggedQuestion]:
    """Questions whose askings came to this, the most asked first; the slowest first of kind `slow`."""
    count, slowest = func.count(), func.max(q.total_ms)
    is_rare = kind in ("without_hits", "failed", "degraded")
    of_range = wanted.of(query_logs) if is_rare else wanted.all_of(query_logs)
    statement = (
        select(
            func.max(q.question),
            q.question_hash,
            count,
            func.min(q.at_ms),
            func.max(q.at_ms),
            func.avg(q.total_ms),
            func.max(q.best_relevance),
            func.max(q.error_code),
        )
        .where(*of_range)
        .group_by(q.question_hash)
        .order_by(slowest.desc() if kind == "slow" else count.desc(), func.max(q.at_ms).desc())
        .limit(limit)
    )
    if kind not in ("all", "slow"):
        statement = statement.where(_of_kind(kind, low_relevance))
    return [LoggedQuestion(*row) for row in connection.execute(statement)]


def document_uses(connection: Connection, wanted: LogRange, limit: int) -> list[DocumentUse]:
    """Documents by how many requests had them among their hits, a response sent again included."""
    a = document_accesses.c
    # Requests with the same hits are counted before their accesses are read: most of a busy log are repeats.
    times = (
        select(q.hits_of, func.count().label("count"), func.max(q.at_ms).label("last_ms"))
        .where(*wanted.all_of(query_logs), q.hits_of.is_not(None))
        .group_by(q.hits_of)
        .subquery()
    )
    count = times.c["count"]
    asked, accesses = func.sum(count * _as_number(a.is_first)), func.sum(count)
    statement = (
        select(
            a.document_id,
            asked,
            accesses,
            func.sum(count * _as_number(a.is_cited)),
            func.sum(count * a.rank) * 1.0 / accesses,
            func.sum(count * a.score) / accesses,
            func.max(times.c.last_ms),
        )
        .select_from(times.join(document_accesses, a.query_id == times.c.hits_of))
        .group_by(a.document_id)
        .order_by(asked.desc(), accesses.desc(), a.document_id)
        .limit(limit)
    )
    return [DocumentUse(*row) for row in connection.execute(statement)]


def spending(connection: Connection, wanted: LogRange, *, by_day: bool) -> list[Spending]:
    """Tokens by model, or by day."""
    day = _floored(q.at_ms, DAY_MS).label("day")
    unpriced = func.sum(_as_number(q.cost.is_(None)))
    sums = (
        func.count(),
        func.sum(q.prompt_tokens),
        func.sum(q.completion_tokens),
        func.sum(q.cost),
        unpriced,
    )
    spent = or_(q.prompt_tokens > 0, q.completion_tokens > 0)
    key = day if by_day else q.model
    statement = select(key, *sums).where(*wanted.all_of(query_logs), spent).group_by(key).order_by(key)
    return [
        Spending(None if by_day else row[0], int(row[0]) if by_day else None, *row[1:])
        for row in connection.execute(statement)
    ]


def error_groups(connection: Connection, wanted: LogRange, limit: int) -> list[ErrorGroup]:
    """Errors by type, service and severity, most frequent first."""
    e, count = error_logs.c, func.count()
    statement = (
        select(e.type, e.code, e.service, e.severity, count, func.max(e.at_ms), func.max(e.message))
        .where(*wanted.of(error_logs))
        .group_by(e.type, e.code, e.service, e.severity)
        .order_by(count.desc(), e.type)
        .limit(limit)
    )
    return [ErrorGroup(*row) for row in connection.execute(statement)]


Row = dict[str, object]


def rows(connection: Connection, table: Table, wanted: LogRange, chosen: RowFilter, limit: int) -> list[Row]:
    """The newest rows that fit, newest first, column by column."""
    statement = select(table).where(*wanted.of(table), *_chosen(table, chosen))
    ordered = statement.order_by(table.c.at_ms.desc(), *table.primary_key.columns).limit(limit)
    return [dict(row._mapping) for row in connection.execute(ordered)]  # noqa: SLF001 (its public name)


_NAMED: Sequence[tuple[str, str]] = (
    ("client", "client"),
    ("user", "user_id"),
    ("door", "door"),
    ("cache", "cache"),
    ("is_success", "is_success"),
    ("document_id", "document_id"),
    ("request_id", "request_id"),
    ("type", "type"),
    ("service", "service"),
    ("severity", "severity"),
)


def _chosen(table: Table, chosen: RowFilter) -> list[ColumnElement[bool]]:
    given = [(column, getattr(chosen, name)) for name, column in _NAMED]
    return [table.c[column] == value for column, value in given if value is not None and column in table.c]


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(_as_number(condition)), 0)


def _as_number(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return case((condition, 1), else_=0)


def _floored(column: ColumnElement[int], unit: int) -> ColumnElement[int]:
    return column // unit


def _of_kind(kind: QuestionKind, low_relevance: float) -> ColumnElement[bool]:
    conditions: dict[QuestionKind, ColumnElement[bool]] = {
        "without_hits": and_(q.source_count == 0, q.is_success),
        "low_relevance": and_(q.best_relevance < low_relevance, q.is_success),
        "unanswered": and_(q.kind == "ask", q.is_success, or_(q.source_count == 0, q.citation_count == 0)),
        "failed": ~q.is_success,
        "degraded": q.is_degraded,
    }
    return conditions[kind]
