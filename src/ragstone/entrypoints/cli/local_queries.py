"""What was asked, in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragstone.entrypoints import wire_queries, wire_statistics, wire_traces
from ragstone.service.queries import PopularRequest

if TYPE_CHECKING:
    from ragstone.entrypoints.cli.query_backend import ErasedKind, PopularChoice
    from ragstone.entrypoints.wire import Wire
    from ragstone.runtime.engine import Engine


class LocalQueries:
    """In this process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def popular(self, wanted: PopularChoice) -> Wire:
        """The most asked questions."""
        asked = PopularRequest(wanted.limit, wanted.days, wanted.prefix, wanted.text, wanted.collection)
        return wire_queries.popular(await self._engine.queries.popular(asked), wanted.days)

    async def complete(self, prefix: str, limit: int) -> Wire:
        """Questions that begin so."""
        return wire_queries.completions(await self._engine.queries.complete(prefix, limit))

    async def similar(self, question: str, limit: int) -> Wire:
        """Questions like one."""
        return wire_queries.similar(await self._engine.queries.similar(question, limit))

    async def statistics(self, days: int | None) -> Wire:
        """What was asked, by day."""
        return wire_queries.statistics(await self._engine.queries.statistics(days))

    async def erase(self, kind: ErasedKind, name: str) -> Wire:
        """Forget one question, what somebody asked, or all."""
        queries = self._engine.queries
        if kind in ("client", "user"):
            return wire_queries.erased(await queries.erase_asker(kind, name))
        return wire_queries.erased(await queries.erase(name if kind == "q" else None))

    async def warm(self, top: int | None) -> Wire:
        """Warm the caches of this process; those that last outlive it."""
        await self._engine.warmer.run(top)
        return wire_queries.warming(self._engine.warmer.status())

    async def trace(self, answer_id: str) -> Wire:
        """How an answer came about."""
        return wire_traces.answer_trace(await self._engine.traces.get(answer_id))

    async def operation_times(self, is_reset: bool) -> Wire:
        """Of this process, which has done nothing yet: a server's are asked for at the server."""
        del is_reset
        return wire_statistics.summary(self._engine.metrics.percentiles.summary())
