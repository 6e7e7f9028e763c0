"""Questions as rows: counting them, by day and in all, forgetting those nobody asks, erasing them.

Everything is counted by statements that add to what a row has, so that any number of processes may count.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NewType

from sqlalchemy import bindparam, delete, func, insert, or_, select, tuple_, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.store.tables import (
    queries,
    query_days,
    query_erasures,
    query_follow_ups,
    query_scopes,
    query_terms,
    query_totals,
    query_words,
)
from ragstone.types import Principal, TenantId

ScopeId = NewType("ScopeId", int)
QueryId = NewType("QueryId", int)

DAY_MS = 86_400_000
EXACT_LEVELS = 8
"""Counts up to here have a level each; above, an eighth more is the next level."""
HIGHEST_LEVEL = 240
"""Of a count of four billion."""
TERM_BYTES = 8
WHOLE_TENANT = b""
"""Stands for all questions in an erasure."""
ROWS_AT_ONCE = 2_000
"""Rows that one transaction of an erasure removes from one table: tens of milliseconds."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How often a question was asked on one day by the askers of one scope, since it was stored last."""

    question: str
    folded: str
    digest: bytes
    """16 bytes that stand for the question."""
    count: int
    first_ms: int
    last_ms: int
    collections: tuple[str, ...]
    request: str | None
    """The last asking as JSON; None when it is too long to be kept."""
    answers: int = 0
    """Askings for an answer; the others were searches."""
    without_hits: int = 0

    @property
    def day(self) -> int:
        """Days since 1970, UTC."""
        return self.last_ms // DAY_MS


@dataclass(frozen=True, slots=True)
class Counted:
    """A question's row after it was counted."""

    id: QueryId
    folded: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A question that is gone; its words are to be counted down."""

    id: QueryId
    folded: str


def level_of(count: int) -> int:
    """The coarse scale of counts: 1 to 8 as they are, then eight levels for every doubling."""
    if count <= EXACT_LEVELS:
        return count
    octave = count.bit_length() - 4
    return EXACT_LEVELS * (octave + 1) + (count >> octave) - EXACT_LEVELS


def audience_of(principal: Principal) -> str:
    """What names the askers who read the same documents as `principal`."""
    groups = principal.access_groups
    return "" if groups is None else json.dumps(sorted(groups), ensure_ascii=False)


def principal_of(tenant_id: TenantId, audience: str) -> Principal:
    """Who asked the questions of a scope."""
    return Principal(tenant_id, frozenset(json.loads(audience)) if audience else None)


async def open_scope(connection: AsyncConnection, principal: Principal) -> ScopeId:
    """The scope that the principal's questions are counted in, made when it is new."""
    mine = (
        query_scopes.c.tenant_id == principal.tenant_id,
        query_scopes.c.audience == audience_of(principal),
        query_scopes.c.erased_ms.is_(None),
    )
    found = (await connection.execute(select(query_scopes.c.id).where(*mine))).scalar()
    if found is None:
        row = {"tenant_id": principal.tenant_id, "audience": audience_of(principal), "tracked": 0}
        made = await connection.execute(insert(query_scopes).values(row).returning(query_scopes.c.id))
        found = made.scalar_one()
    return ScopeId(found)


async def tracked_in(connection: AsyncConnection, scope_id: ScopeId) -> int:
    """How many questions a scope has; 0 when it was erased meanwhile."""
    statement = select(query_scopes.c.tracked).where(query_scopes.c.id == scope_id)
    return int((await connection.execute(statement)).scalar() or 0)


async def erasures(connection: AsyncConnection, tenant_id: TenantId) -> Mapping[bytes, int]:
    """What was erased a moment ago, and when."""
    statement = select(query_erasures.c.digest, query_erasures.c.erased_ms)
    found = await connection.execute(statement.where(query_erasures.c.tenant_id == tenant_id))
    return {row.digest: row.erased_ms for row in found}


async def count_questions(
    connection: AsyncConnection, scope_id: ScopeId, tallies: Sequence[Tally]
) -> list[Counted]:
    """Add to the rows of questions, make those that are new, and count both in the scope and its days.

    All tallies are of one day, each of another question.
    """
    adding = upsert(queries)
    adding = adding.on_conflict_do_update(
        index_elements=["scope_id", "digest"],
        set_={
            "asked": queries.c.asked + adding.excluded.asked,
            "last_ms": func.max(queries.c.last_ms, adding.excluded.last_ms),
            "collections": adding.excluded.collections,
            "request": adding.excluded.request,
        },
    )
    returned = (queries.c.id, queries.c.digest, queries.c.folded, queries.c.asked, queries.c.level)
    rows = [_row(scope_id, tally) for tally in tallies]
    found = (await connection.execute(adding.returning(*returned), rows)).all()
    added = {tally.digest: tally.count for tally in tallies}
    risen = [
        {"key": row.id, "risen": level_of(row.asked)} for row in found if level_of(row.asked) != row.level
    ]
    if risen:
        statement = update(queries).where(queries.c.id == bindparam("key")).values(level=bindparam("risen"))
        await connection.execute(statement, risen)
    is_new = {row.id: row.asked == added[row.digest] for row in found}
    grown = update(query_scopes).where(query_scopes.c.id == scope_id)
    await connection.execute(grown.values(tracked=query_scopes.c.tracked + sum(is_new.values())))
    await _count_day(connection, scope_id, tallies, {row.digest: row.id for row in found})
    return [Counted(QueryId(row.id), row.folded, is_new[row.id]) for row in found]


def _row(scope_id: ScopeId, tally: Tally) -> dict[str, object]:
    return {
        "scope_id": scope_id,
        "digest": tally.digest,
        "question": tally.question,
        "folded": tally.folded,
        "asked": tally.count,
        "level": level_of(tally.count),
        "first_ms": tally.first_ms,
        "last_ms": tally.last_ms,
        "collections": joined(tally.collections),
        "request": tally.request,
    }


def joined(names: Iterable[str]) -> str:
    """Names of collections as one text in which each can be looked for."""
    return "".join(f"\n{name}" for name in names) + "\n"


async def _count_day(
    connection: AsyncConnection, scope_id: ScopeId, tallies: Sequence[Tally], ids: Mapping[bytes, int]
) -> None:
    day = tallies[0].day
    adding = upsert(query_days)
    adding = adding.on_conflict_do_update(
        index_elements=["query_id", "day"], set_={"asked": query_days.c.asked + adding.excluded.asked}
    )
    rows = [
        {"query_id": ids[tally.digest], "day": day, "scope_id": scope_id, "asked": tally.count}
        for tally in tallies
    ]
    added = {ids[tally.digest]: tally.count for tally in tallies}
    found = await connection.execute(adding.returning(query_days.c.query_id, query_days.c.asked), rows)
    totals = {
        "asked": sum(added.values()),
        "distinct_count": sum(row.asked == added[row.query_id] for row in found),
        "answers": sum(tally.answers for tally in tallies),
        "without_hits": sum(tally.without_hits for tally in tallies),
    }
    total = upsert(query_totals).values({"scope_id": scope_id, "day": day, **totals})
    raised = {name: query_totals.c[name] + total.excluded[name] for name in totals}
    await connection.execute(total.on_conflict_do_update(index_elements=["scope_id", "day"], set_=raised))


async def count_words(
    connection: AsyncConnection, scope_id: ScopeId, change: Mapping[int, int]
) -> dict[int, int]:
    """Add to the numbers of questions that words stand in, or take from them; what they come to."""
    if not change:
        return {}
    adding = upsert(query_words)
    adding = adding.on_conflict_do_update(
        index_elements=["scope_id", "word"], set_={"held_by": query_words.c.held_by + adding.excluded.held_by}
    )
    rows = [{"scope_id": scope_id, "word": word, "held_by": count} for word, count in change.items()]
    found = await connection.execute(adding.returning(query_words.c.word, query_words.c.held_by), rows)
    counts = {row.word: row.held_by for row in found}
    if gone := [word for word, count in counts.items() if count <= 0]:
        mine = (query_words.c.scope_id == scope_id, query_words.c.word == bindparam("gone"))
        await connection.execute(delete(query_words).where(*mine), [{"gone": word} for word in gone])
    return counts


async def put_terms(
    connection: AsyncConnection, scope_id: ScopeId, terms: Mapping[QueryId, Collection[int]]
) -> None:
    """Store where new questions are looked for as similar ones."""
    rows = [
        {"scope_id": scope_id, "term": term, "query_id": query_id}
        for query_id, found in terms.items()
        for term in found
    ]
    if rows:
        await connection.execute(insert(query_terms), rows)
        statement = update(queries).where(queries.c.id == bindparam("key")).values(terms=bindparam("packed"))
        packed = [{"key": query_id, "packed": _packed(found)} for query_id, found in terms.items()]
        await connection.execute(statement, packed)


def _packed(terms: Iterable[int]) -> bytes:
    return b"".join(term.to_bytes(TERM_BYTES, "little", signed=True) for term in terms)


def _unpacked(packed: bytes | None) -> list[int]:
    parts = packed or b""
    return [
        int.from_bytes(parts[at : at + TERM_BYTES], "little", signed=True)
        for at in range(0, len(parts), TERM_BYTES)
    ]


async def least_wanted(connection: AsyncConnection, scope_id: ScopeId, limit: int) -> list[QueryId]:
    """The rarest questions, those not asked for longest first."""
    statement = select(queries.c.id).where(queries.c.scope_id == scope_id)
    ordered = statement.order_by(queries.c.asked, queries.c.last_ms).limit(limit)
    return [QueryId(found) for found in (await connection.execute(ordered)).scalars()]


async def questions_like(
    connection: AsyncConnection, tenant_id: TenantId, digest: bytes
) -> dict[ScopeId, QueryId]:
    """The rows of one question in every scope of a tenant."""
    statement = (
        select(query_scopes.c.id.label("scope_id"), queries.c.id)
        .join(queries, queries.c.scope_id == query_scopes.c.id)
        .where(query_scopes.c.tenant_id == tenant_id, queries.c.digest == digest)
    )
    return {ScopeId(row.scope_id): QueryId(row.id) for row in await connection.execute(statement)}


async def forget_questions(
    connection: AsyncConnection, scope_id: ScopeId, ids: Sequence[QueryId]
) -> list[Forgotten]:
    """Remove questions with their days, terms and follow-ups; the totals of the days stay."""
    named = queries.c.id.in_(ids)
    found = (await connection.execute(select(queries).where(named, queries.c.scope_id == scope_id))).all()
    terms = [{"gone": term, "key": row.id} for row in found for term in _unpacked(row.terms)]
    if terms:
        mine = (
            query_terms.c.scope_id == scope_id,
            query_terms.c.term == bindparam("gone"),
            query_terms.c.query_id == bindparam("key"),
        )
        await connection.execute(delete(query_terms).where(*mine), terms)
    await connection.execute(delete(query_days).where(query_days.c.query_id.in_(ids)))
    follows = query_follow_ups.c
    is_theirs = or_(follows.query_id.in_(ids), follows.next_id.in_(ids))
    await connection.execute(delete(query_follow_ups).where(is_theirs))
    await connection.execute(delete(queries).where(named))
    shrunk = update(query_scopes).where(query_scopes.c.id == scope_id)
    await connection.execute(shrunk.values(tracked=query_scopes.c.tracked - len(found)))
    return [Forgotten(QueryId(row.id), row.folded) for row in found]


async def prune_days(connection: AsyncConnection, today: int, kept_days: int, kept_a_day: int) -> None:
    """Forget days that are too long ago, and of each day before today all but its most asked questions."""
    oldest = today - kept_days + 1
    await connection.execute(delete(query_totals).where(query_totals.c.day < oldest))
    await connection.execute(delete(query_days).where(query_days.c.day < oldest))
    crowded = select(query_totals.c.scope_id, query_totals.c.day).where(
        query_totals.c.day < today, query_totals.c.distinct_count > kept_a_day
    )
    for row in (await connection.execute(crowded)).all():
        mine = (query_days.c.scope_id == row.scope_id, query_days.c.day == row.day)
        ordered = select(query_days.c.query_id).where(*mine).order_by(query_days.c.asked.desc())
        rest = ordered.limit(-1).offset(kept_a_day)
        await connection.execute(delete(query_days).where(*mine, query_days.c.query_id.in_(rest)))


async def note_erasure(connection: AsyncConnection, tenant_id: TenantId, digest: bytes, at_ms: int) -> None:
    """Tell every process that what was asked until now is not to be stored."""
    noted = upsert(query_erasures).values(tenant_id=tenant_id, digest=digest, erased_ms=at_ms)
    newer = {"erased_ms": noted.excluded.erased_ms}
    await connection.execute(noted.on_conflict_do_update(index_elements=["tenant_id", "digest"], set_=newer))


async def drop_erasures(connection: AsyncConnection, before_ms: int) -> None:
    """Forget erasures that no waiting question can be older than."""
    await connection.execute(delete(query_erasures).where(query_erasures.c.erased_ms < before_ms))


async def close_scopes(connection: AsyncConnection, tenant_id: TenantId, at_ms: int) -> int:
    """Hide all questions of a tenant from every reader; how many there were. Their rows are still there."""
    mine = (query_scopes.c.tenant_id == tenant_id, query_scopes.c.erased_ms.is_(None))
    counted = select(func.coalesce(func.sum(query_scopes.c.tracked), 0)).where(*mine)
    count = int((await connection.execute(counted)).scalar_one())
    await connection.execute(update(query_scopes).where(*mine).values(erased_ms=at_ms))
    return count


async def closed_scopes(connection: AsyncConnection) -> list[ScopeId]:
    """Scopes that were erased and have rows left."""
    statement = select(query_scopes.c.id).where(query_scopes.c.erased_ms.is_not(None))
    return [ScopeId(found) for found in (await connection.execute(statement)).scalars()]


async def empty_scope(connection: AsyncConnection, scope_id: ScopeId) -> bool:
    """Remove one slice of an erased scope's rows; False when that was the last one."""
    ids = select(queries.c.id).where(queries.c.scope_id == scope_id).limit(ROWS_AT_ONCE)
    gone = (await connection.execute(ids)).scalars().all()
    if gone:
        await connection.execute(delete(query_days).where(query_days.c.query_id.in_(ids)))
        # Both questions of a pair are of this scope.
        await connection.execute(delete(query_follow_ups).where(query_follow_ups.c.query_id.in_(ids)))
        await connection.execute(delete(queries).where(queries.c.id.in_(ids)))
    key = tuple_(query_terms.c.term, query_terms.c.query_id)
    slice_ = select(query_terms.c.term, query_terms.c.query_id).where(query_terms.c.scope_id == scope_id)
    removed = await connection.execute(
        delete(query_terms).where(query_terms.c.scope_id == scope_id, key.in_(slice_.limit(ROWS_AT_ONCE)))
    )
    if gone or removed.rowcount:
        return True
    for table in (query_words, query_totals, query_days):
        await connection.execute(delete(table).where(table.c.scope_id == scope_id))
    await connection.execute(delete(query_scopes).where(query_scopes.c.id == scope_id))
    return False
