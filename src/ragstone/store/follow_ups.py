"""Questions that were asked after others, as rows: a few of each question, those that follow most often."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.store.queries import QueryId, ScopeId, audience_of
from ragstone.store.query_reads import TrackedQuery, named_queries
from ragstone.store.tables import queries, query_follow_ups, query_scopes
from ragstone.types import Principal

KEPT, CROWDED = 8, 16
"""Follow-ups of one question that stay when there are more than `CROWDED`."""
LEAST_ASKED, LEAST_SHARE = 2, 0.1
"""A likely follow-up came so often after its question, and after so many of all its askings."""

Pair = tuple[bytes, bytes]
"""The digests of a question and of the one after it."""


async def count_follow_ups(
    connection: AsyncConnection, scope_id: ScopeId, pairs: Mapping[Pair, int], at_ms: int
) -> None:
    """Add to the counts of pairs whose two questions are tracked."""
    digests = {digest for pair in pairs for digest in pair}
    statement = select(queries.c.digest, queries.c.id).where(
        queries.c.scope_id == scope_id, queries.c.digest.in_(digests)
    )
    ids = {row.digest: row.id for row in await connection.execute(statement)}
    rows = [
        {"query_id": ids[before], "next_id": ids[after], "asked": count, "last_ms": at_ms}
        for (before, after), count in pairs.items()
        if before in ids and after in ids
    ]
    if not rows:
        return
    adding = upsert(query_follow_ups)
    raised = {
        "asked": query_follow_ups.c.asked + adding.excluded.asked,
        "last_ms": func.max(query_follow_ups.c.last_ms, adding.excluded.last_ms),
    }
    await connection.execute(
        adding.on_conflict_do_update(index_elements=["query_id", "next_id"], set_=raised), rows
    )
    await _thin_out(connection, {row["query_id"] for row in rows})


async def _thin_out(connection: AsyncConnection, ids: Collection[int]) -> None:
    mine = query_follow_ups.c.query_id
    crowded = select(mine).where(mine.in_(ids)).group_by(mine).having(func.count() > CROWDED)
    for query_id in (await connection.execute(crowded)).scalars().all():
        order = (query_follow_ups.c.asked.desc(), query_follow_ups.c.last_ms.desc())
        rest = select(query_follow_ups.c.next_id).where(mine == query_id).order_by(*order).offset(KEPT)
        is_rest = query_follow_ups.c.next_id.in_(rest.limit(-1))
        await connection.execute(delete(query_follow_ups).where(mine == query_id, is_rest))


async def likely_follow_ups(
    connection: AsyncConnection, principal: Principal, digest: bytes, limit: int
) -> list[TrackedQuery]:
    """What the askers of the principal's scope are likely to ask after a question, the likeliest first."""
    follows = query_follow_ups.c
    statement = (
        select(follows.next_id, follows.asked, queries.c.asked.label("of"))
        .join(queries, queries.c.id == follows.query_id)
        .join(query_scopes, query_scopes.c.id == queries.c.scope_id)
        .where(
            query_scopes.c.tenant_id == principal.tenant_id,
            query_scopes.c.audience == audience_of(principal),
            query_scopes.c.erased_ms.is_(None),
            queries.c.digest == digest,
        )
        .order_by(follows.asked.desc(), follows.last_ms.desc())
    )
    rows = (await connection.execute(statement)).all()
    likely = [QueryId(row.next_id) for row in rows if row.asked >= max(LEAST_ASKED, LEAST_SHARE * row.of)][
        :limit
    ]
    found = {one.id: one for one in await named_queries(connection, principal, likely)} if likely else {}
    return [found[key] for key in likely if key in found]
