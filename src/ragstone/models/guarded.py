"""An embedder behind a breaker, so that one that fails does not cost every query its time."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, TypeVar

import anyio

from ragstone.errors import DeadlineExceeded, EmbeddingFailed
from ragstone.models.wrapped import WrappedEmbedder

if TYPE_CHECKING:
    from collections.abc import Callable

    from ragstone.deadline import Deadline
    from ragstone.models.ports import Embedder
    from ragstone.resilience.breaker import Breaker
    from ragstone.types import Matrix, Vector

T = TypeVar("T")
FAIR_S = 1.0
"""A query that had less time than this says nothing against an embedder that did not make it."""
LONGEST_S = 3600.0
"""Stands for no limit."""


class GuardedEmbedder(WrappedEmbedder):
    """Asks nothing of an embedder that failed again and again, until a probe succeeds.

    Passages pass through: their jobs wait out an outage in the queue, with pauses of their own.
    """

    def __init__(self, embedder: Embedder, breaker: Breaker) -> None:
        super().__init__(embedder)
        self._breaker = breaker

    async def embed_query(self, text: str, deadline: Deadline) -> Vector:
        """The vector of one query.

        Raises:
            BreakerOpen: the embedder is left alone.
        """
        return await self._guarded(lambda: self._embedder.embed_query(text, deadline), deadline)

    async def embed_queries(self, texts: Sequence[str], deadline: Deadline) -> Matrix:
        """The vectors of a few texts that one caller waits for.

        Raises:
            BreakerOpen: the embedder is left alone.
        """
        return await self._guarded(lambda: self._embedder.embed_queries(texts, deadline), deadline)

    async def _guarded(self, work: Callable[[], Awaitable[T]], deadline: Deadline) -> T:
        deadline.check("the embedding model was asked")
        is_fair = deadline.remaining_s >= FAIR_S
        counted = (EmbeddingFailed, DeadlineExceeded) if is_fair else (EmbeddingFailed,)
        with self._breaker.call(counted):
            try:
                with anyio.fail_after(min(deadline.remaining_s, LONGEST_S)):
                    return await work()
            except TimeoutError as error:
                raise DeadlineExceeded(
                    "The embedding model did not answer within the time that the query had for it.",
                    stage="embed_query",
                ) from error
