"""Reading questions: the most asked, completions, those that share rare words, figures by day."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    ColumnElement,
    Row,
    ScalarSelect,
    Select,
    TextClause,
    func,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.store.queries import HIGHEST_LEVEL, QueryId, audience_of, joined
from ragstone.store.tables import queries, query_days, query_scopes, query_totals, query_words
from ragstone.types import Principal

LAST_CHARACTER = "\U0010ffff"
LEVELS = range(HIGHEST_LEVEL + 1)
WALKED = 5_000
"""Most asked questions that a filter is tried on: 5 ms (2 cores, November 2026)."""


SCOPE = (
    "(SELECT id FROM query_scopes WHERE tenant_id = :tenant AND audience = :audience AND erased_ms IS NULL)"
)
LEADERS_OF_A_DAY = (
    "SELECT * FROM (SELECT day, query_id, asked FROM query_days "
    "WHERE scope_id = {scope} AND day = :day{at} ORDER BY asked DESC LIMIT :depth)"
)
HOLDERS_OF_A_TERM = (
    "SELECT * FROM (SELECT term, query_id FROM query_terms "
    "WHERE scope_id = {scope} AND term = :term{at} ORDER BY query_id DESC LIMIT :each)"
)


@dataclass(frozen=True, slots=True)
class TrackedQuery:
    """A question with how often and when it was asked; times are milliseconds since 1970 UTC."""

    id: QueryId
    question: str
    folded: str
    count: int
    first_ms: int
    last_ms: int
    collections: tuple[str, ...]
    """Of its last asking."""
    request: str | None
    """Its last asking, as `ragstone.analytics.asking` writes it."""


@dataclass(frozen=True, slots=True)
class QueryFilter:
    """Which questions are wanted; None is any."""

    folded: str | None = None
    """Stands somewhere in the folded question."""
    prefix: str | None = None
    """The folded question begins with it."""
    collection: str | None = None
    since_ms: int | None = None
    """Asked at that time or later."""

    @property
    def is_open(self) -> bool:
        """Whether every question fits."""
        return self == QueryFilter()


@dataclass(frozen=True, slots=True)
class DayTotals:
    """What was asked on one day, in days since 1970 UTC."""

    day: int
    asked: int
    distinct_count: int
    answers: int
    without_hits: int


async def most_asked(
    connection: AsyncConnection, principal: Principal, wanted: QueryFilter, limit: int
) -> list[TrackedQuery]:
    """The most asked questions of all time, the later asked first among equals.

    A filter is tried on the first `WALKED` of them.
    """
    order = (queries.c.asked.desc(), queries.c.last_ms.desc())
    statement = select(queries).where(queries.c.scope_id == _scope(principal))
    if not wanted.is_open:
        first = select(queries.c.id).where(queries.c.scope_id == _scope(principal)).order_by(*order)
        walked = first.limit(WALKED).subquery()
        statement = statement.join(walked, walked.c.id == queries.c.id).where(*_conditions(wanted))
    return _tracked(await connection.execute(statement.order_by(*order).limit(limit)))


async def completions(
    connection: AsyncConnection, principal: Principal, prefix: str, limit: int
) -> list[TrackedQuery]:
    """Questions whose folded form begins with `prefix`, level by level from the most asked.

    Within a level, counts differ by less than an eighth and the order is alphabetic. One look into the index
    for each level, and one row for each completion: 0.1 ms whatever the prefix (1M questions, November 2026).
    """
    statement = (
        select(queries)
        .where(
            queries.c.scope_id == _scope(principal),
            queries.c.level.in_(LEVELS),
            queries.c.folded >= prefix,
            queries.c.folded < prefix + LAST_CHARACTER,
        )
        .order_by(queries.c.level.desc())
        .limit(limit)
    )
    return _tracked(await connection.execute(statement))


async def day_leaders(
    connection: AsyncConnection, principal: Principal, days: Sequence[int], depth: int
) -> dict[int, list[tuple[QueryId, int]]]:
    """The `depth` most asked questions of each day with their counts, most asked first."""
    parameters = {"tenant": principal.tenant_id, "audience": audience_of(principal), "depth": depth}
    named = {f"day{at}": day for at, day in enumerate(days)}
    found: dict[int, list[tuple[QueryId, int]]] = {day: [] for day in days}
    for row in await connection.execute(_leaders(len(days)), parameters | named):
        found[row.day].append((QueryId(row.query_id), row.asked))
    return found


def _leaders(day_count: int) -> TextClause:
    """One index range a day, each with its own limit: as text, because SQLAlchemy takes 2 ms to build it."""
    return text(" UNION ALL ".join(LEADERS_OF_A_DAY.format(scope=SCOPE, at=at) for at in range(day_count)))


async def asked_in_days(
    connection: AsyncConnection, ids: Collection[QueryId], since_day: int
) -> dict[QueryId, int]:
    """How often questions were asked since a day."""
    statement = (
        select(query_days.c.query_id, func.sum(query_days.c.asked).label("asked"))
        .where(query_days.c.query_id.in_(ids), query_days.c.day >= since_day)
        .group_by(query_days.c.query_id)
    )
    return {QueryId(row.query_id): row.asked for row in await connection.execute(statement)}


async def named_queries(
    connection: AsyncConnection,
    principal: Principal,
    ids: Collection[QueryId],
    wanted: QueryFilter = QueryFilter(),
) -> list[TrackedQuery]:
    """The questions of these ids that are still there and fit, in no order."""
    statement = select(queries).where(
        queries.c.id.in_(ids), queries.c.scope_id == _scope(principal), *_conditions(wanted)
    )
    return _tracked(await connection.execute(statement))


async def word_counts(
    connection: AsyncConnection, principal: Principal, words: Collection[int]
) -> tuple[int, Mapping[int, int]]:
    """How many questions are tracked, and in how many each word stands; a new word is left out."""
    mine = query_words.c.scope_id == _scope(principal)
    statement = select(query_words.c.word, query_words.c.held_by).where(mine, query_words.c.word.in_(words))
    counts = {row.word: row.held_by for row in await connection.execute(statement)}
    tracked = select(query_scopes.c.tracked).where(query_scopes.c.id == _scope(principal))
    return int((await connection.execute(tracked)).scalar() or 0), counts


async def holders_of_terms(
    connection: AsyncConnection, principal: Principal, terms: Sequence[int], each: int
) -> dict[int, list[QueryId]]:
    """The newest questions that hold each term, at most `each` of them."""
    statement = text(
        " UNION ALL ".join(HOLDERS_OF_A_TERM.format(scope=SCOPE, at=at) for at in range(len(terms)))
    )
    parameters = {"tenant": principal.tenant_id, "audience": audience_of(principal), "each": each}
    named = {f"term{at}": term for at, term in enumerate(terms)}
    found: dict[int, list[QueryId]] = {term: [] for term in terms}
    for row in await connection.execute(statement, parameters | named):
        found[row.term].append(QueryId(row.query_id))
    return found


async def totals_by_day(
    connection: AsyncConnection, principal: Principal, since_day: int
) -> tuple[int, list[DayTotals]]:
    """How many questions are tracked, and the totals of each day that has any, oldest first."""
    mine = (query_totals.c.scope_id == _scope(principal), query_totals.c.day >= since_day)
    rows = await connection.execute(select(query_totals).where(*mine).order_by(query_totals.c.day))
    totals = [
        DayTotals(row.day, row.asked, row.distinct_count, row.answers, row.without_hits) for row in rows
    ]
    tracked = select(query_scopes.c.tracked).where(query_scopes.c.id == _scope(principal))
    return int((await connection.execute(tracked)).scalar() or 0), totals


async def audiences(connection: AsyncConnection) -> list[tuple[str, str]]:
    """Tenant and audience of every scope that has questions."""
    statement = select(query_scopes.c.tenant_id, query_scopes.c.audience).where(
        query_scopes.c.erased_ms.is_(None), query_scopes.c.tracked > 0
    )
    return [(row.tenant_id, row.audience) for row in await connection.execute(statement)]


def _scope(principal: Principal) -> ScalarSelect[int]:
    """The scope whose questions a principal sees: those of askers who may read what it may read."""
    mine: Select[tuple[int]] = select(query_scopes.c.id).where(
        query_scopes.c.tenant_id == principal.tenant_id,
        query_scopes.c.audience == audience_of(principal),
        query_scopes.c.erased_ms.is_(None),
    )
    return mine.scalar_subquery()


def _conditions(wanted: QueryFilter) -> list[ColumnElement[bool]]:
    conditions = []
    if wanted.folded is not None:
        conditions.append(func.instr(queries.c.folded, wanted.folded) > 0)
    if wanted.prefix is not None:
        conditions.append(queries.c.folded >= wanted.prefix)
        conditions.append(queries.c.folded < wanted.prefix + LAST_CHARACTER)
    if wanted.collection is not None:
        conditions.append(func.instr(queries.c.collections, joined([wanted.collection])) > 0)
    if wanted.since_ms is not None:
        conditions.append(queries.c.last_ms >= wanted.since_ms)
    return conditions


def _tracked(rows: Iterable[Row[tuple[object, ...]]]) -> list[TrackedQuery]:
    return [
        TrackedQuery(
            id=QueryId(row.id),
            question=row.question,
            folded=row.folded,
            count=row.asked,
            first_ms=row.first_ms,
            last_ms=row.last_ms,
            collections=tuple(row.collections.strip("\n").split("\n")),
            request=row.request,
        )
        for row in rows
    ]
