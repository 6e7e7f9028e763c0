"""Reading questions: the most asked, completions, those that share rare words, figures by day."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from sqlalchemy import (
    ColumnClause,
    ColumnElement,
    Integer,
    Row,
    ScalarSelect,
    Select,
    TextClause,
    column,
    func,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.store.queries import HIGHEST_LEVEL, QueryId, audience_of, joined
from ragstone.store.tables import queries, query_scopes, query_totals
from ragstone.types import Principal

LAST_CHARACTER = "\U0010ffff"
WALKED = 1_000
"""Most asked questions that a filter is tried on; 5,000 took 12 ms (2 loaded cores, November 2026)."""


SCOPE = (
    "(SELECT id FROM query_scopes WHERE tenant_id = :tenant AND audience = :audience AND erased_ms IS NULL)"
)
COLUMNS = "q.id, q.question, q.folded, q.asked, q.first_ms, q.last_ms, q.collections, q.request"
LEVELS = ", ".join(str(level) for level in range(HIGHEST_LEVEL + 1))
# Written out: SQLAlchemy takes longer to build and render these statements than SQLite to run them.
COMPLETIONS = text(f"""
    SELECT {COLUMNS} FROM queries AS q
    WHERE q.scope_id = {SCOPE} AND q.level IN ({LEVELS}) AND q.folded >= :prefix AND q.folded < :prefix_end
    ORDER BY q.level DESC LIMIT :limit
    """)  # noqa: S608 - constants only
LEADERS_OF_A_DAY = f"""
    SELECT * FROM (
        SELECT day, query_id, asked FROM query_days
        WHERE scope_id = {SCOPE} AND day = :day{{at}} ORDER BY asked DESC LIMIT :depth
    )
    """  # noqa: S608
ASKED_IN_DAYS = text("""
    SELECT named.value AS query_id, sum(d.asked) AS asked FROM json_each(:ids) AS named
    CROSS JOIN query_days AS d ON d.query_id = named.value AND d.day >= :since GROUP BY named.value
    """)
WORD_COUNTS = text(f"""
    SELECT word, held_by FROM query_words
    WHERE scope_id = {SCOPE} AND word IN (SELECT value FROM json_each(:words))
    UNION ALL SELECT NULL, tracked FROM query_scopes WHERE id = {SCOPE}
    """)  # noqa: S608
# Of each term its newest holders, down to the one at the place `each`; of all, those that hold most terms.
HOLDERS = text(f"""
    SELECT {COLUMNS} FROM (
        SELECT t.query_id, count(*) AS votes
        FROM json_each(:terms) AS w CROSS JOIN query_terms AS t
        WHERE t.scope_id = {SCOPE} AND t.term = w.value AND t.query_id >= coalesce((
            SELECT query_id FROM query_terms WHERE scope_id = {SCOPE} AND term = w.value
            ORDER BY query_id DESC LIMIT 1 OFFSET :each
        ), 0)
        GROUP BY t.query_id ORDER BY votes DESC, t.query_id DESC LIMIT :limit
    ) AS v JOIN queries AS q ON q.id = v.query_id AND q.scope_id = {SCOPE}
    """)  # noqa: S608


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
    parameters = {"prefix": prefix, "prefix_end": prefix + LAST_CHARACTER, "limit": limit}
    return _tracked(await connection.execute(COMPLETIONS, parameters | _asker(principal)))


async def day_leaders(
    connection: AsyncConnection, principal: Principal, days: Sequence[int], depth: int
) -> dict[int, list[tuple[QueryId, int]]]:
    """The `depth` most asked questions of each day with their counts, most asked first."""
    named = {f"day{at}": day for at, day in enumerate(days)}
    parameters = {"depth": depth} | named | _asker(principal)
    found: dict[int, list[tuple[QueryId, int]]] = {day: [] for day in days}
    for row in await connection.execute(_leaders(len(days)), parameters):
        found[row.day].append((QueryId(row.query_id), row.asked))
    return found


@cache
def _leaders(day_count: int) -> TextClause:
    """One index range a day, each with its own limit."""
    return text(" UNION ALL ".join(LEADERS_OF_A_DAY.format(at=at) for at in range(day_count)))


async def asked_in_days(
    connection: AsyncConnection, ids: Collection[QueryId], since_day: int
) -> dict[QueryId, int]:
    """How often questions were asked since a day."""
    found = await connection.execute(ASKED_IN_DAYS, {"ids": _json(ids), "since": since_day})
    return {QueryId(row.query_id): row.asked for row in found}


async def named_queries(
    connection: AsyncConnection,
    principal: Principal,
    ids: Collection[QueryId],
    wanted: QueryFilter = QueryFilter(),
) -> list[TrackedQuery]:
    """The questions of these ids that are still there and fit, in no order."""
    # Without the sum SQLite walks all rows of the scope, by the index that begins with it.
    is_mine = queries.c.scope_id + 0 == _scope(principal)
    statement = select(queries).where(queries.c.id.in_(_listed(ids)), is_mine, *_conditions(wanted))
    return _tracked(await connection.execute(statement))


async def word_counts(
    connection: AsyncConnection, principal: Principal, words: Collection[int]
) -> tuple[int, Mapping[int, int]]:
    """How many questions are tracked, and in how many each word stands; a new word is left out."""
    found = await connection.execute(WORD_COUNTS, {"words": _json(words)} | _asker(principal))
    counts = {row.word: row.held_by for row in found}
    return counts.pop(None, 0), counts


async def holders_of_terms(
    connection: AsyncConnection, principal: Principal, terms: Collection[int], *, each: int, limit: int
) -> list[TrackedQuery]:
    """The questions that hold most of the terms; of each term only the newest `each` holders count."""
    parameters = {"terms": _json(terms), "each": each - 1, "limit": limit}
    return _tracked(await connection.execute(HOLDERS, parameters | _asker(principal)))


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


def _asker(principal: Principal) -> dict[str, object]:
    return {"tenant": principal.tenant_id, "audience": audience_of(principal)}


def _json(numbers: Collection[int]) -> str:
    return json.dumps(list(numbers))


def _listed(ids: Collection[QueryId]) -> Select[tuple[int]]:
    """Ids as one parameter: SQLAlchemy renders a statement anew for every number of parameters."""
    value: ColumnClause[int] = column("value", Integer)
    return select(func.json_each(_json(ids)).table_valued(value).c.value)


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
