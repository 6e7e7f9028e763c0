"""What the Python door tells of itself, and lends: answers explained, times of operations, the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ragstone.runtime.engine import Engine
    from ragstone.service.traces import AnswerTrace
    from ragstone.service.values import ValueService
    from ragstone.telemetry.percentiles import Percentiles


class _Open(Protocol):
    @property
    def engine(self) -> Engine:
        """The engine with all its services."""
        ...


class Watching:
    """Methods of `AsyncRagstone` for whoever watches it, or uses a part of it."""

    async def trace(self: _Open, answer_id: str) -> AnswerTrace:
        """How an answer came about: legs, fusion, passages, caches, times, tokens, citations.

        Raises:
            AnswerNotFound: no trace of it is kept.
        """
        return await self.engine.traces.get(answer_id)

    @property
    def statistics(self: _Open) -> Percentiles:
        """Times of operations: `summary()`, `reset()`, and `record(name, value)` for values of your own."""
        return self.engine.metrics.percentiles

    @property
    def cache(self: _Open) -> ValueService:
        """The cache for values of your own: `get`, `set`, `delete`, `clear`, `get_many`, `set_many`."""
        return self.engine.caches.values
