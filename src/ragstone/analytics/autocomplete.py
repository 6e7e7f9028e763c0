"""Completions of the beginning of a question: the most asked questions that begin so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragstone.analytics.words import fold_prefix
from ragstone.store.query_reads import TrackedQuery, completions

if TYPE_CHECKING:
    from ragstone.store.database import Database
    from ragstone.types import Principal

SPARE = 3
"""Completions read for one that is shown: several ways of writing may fold to the same."""


async def complete(database: Database, principal: Principal, prefix: str, limit: int) -> list[TrackedQuery]:
    """The most asked questions that begin with `prefix`, most asked first; one for each folded form.

    Counts above 8 are compared to about an eighth; see `store.query_reads.completions`. An empty prefix gives
    the most asked of all.
    """
    async with database.read() as connection:
        found = await completions(connection, principal, fold_prefix(prefix), limit * SPARE)
    best: dict[str, TrackedQuery] = {}
    for one in sorted(found, key=lambda one: -one.count):
        best.setdefault(one.folded, one)
    return list(best.values())[:limit]
