"""The most asked questions, of all time or of the last days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ragstone.store.query_reads import (
    QueryFilter,
    TrackedQuery,
    asked_in_days,
    day_leaders,
    most_asked,
    named_queries,
)

if TYPE_CHECKING:
    from ragstone.store.database import Database, StoreConnection
    from ragstone.store.queries import QueryId
    from ragstone.types import Principal

FIRST_DEPTH, DEEPEST = 64, 4_096
Leaders = Mapping[int, Sequence[tuple["QueryId", int]]]


async def most_popular(
    database: Database, principal: Principal, wanted: QueryFilter, limit: int
) -> list[TrackedQuery]:
    """The most asked questions of all time that fit, most asked first, the later asked before equals."""
    async with database.read() as connection:
        return await most_asked(connection, principal, wanted, limit)


async def popular_in_days(
    database: Database, principal: Principal, wanted: QueryFilter, limit: int, days: Sequence[int]
) -> list[TrackedQuery]:
    """The same by what was asked on these days (in days since 1970, the oldest first); `count` is of them.

    Fagin's threshold algorithm (PODS 2001): the leaders of each day are read until no question that has not
    been seen could have more than the last of the best ones, so the result is exact although only a few rows
    of each day are read. With a filter that little fits, at most `DEEPEST` of each day are looked at.
    """
    depth = FIRST_DEPTH
    async with database.read() as connection:
        while True:
            leaders = await day_leaders(connection, principal, days, depth)
            best = await _best_of(connection, principal, wanted, leaders, limit)
            is_whole = all(len(found) < depth for found in leaders.values())
            is_sure = len(best) >= limit and best[limit - 1].count >= most_unseen(leaders, depth)
            if is_whole or is_sure or depth >= DEEPEST:
                return best[:limit]
            depth *= 4


def most_unseen(leaders: Leaders, depth: int) -> int:
    """The most that a question can have been asked that is among no day's leaders (pure)."""
    return sum(found[-1][1] for found in leaders.values() if len(found) >= depth)


async def _best_of(
    connection: StoreConnection,
    principal: Principal,
    wanted: QueryFilter,
    leaders: Leaders,
    limit: int,
) -> list[TrackedQuery]:
    """Those that fit among the leaders, the best `limit` and their equals at least."""
    ids = {query_id for found in leaders.values() for query_id, _ in found}
    asked = await asked_in_days(connection, ids, min(leaders))
    if wanted.is_open and len(asked) > limit:
        last = sorted(asked.values(), reverse=True)[limit - 1]
        asked = {query_id: count for query_id, count in asked.items() if count >= last}
    fitting = await named_queries(connection, principal, asked, wanted)
    counted = [replace(one, count=asked[one.id]) for one in fitting]
    return sorted(counted, key=lambda one: (-one.count, -one.last_ms))
