"""An embedder around another one: what it does not change is the inner one's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ragstone.deadline import Deadline
    from ragstone.models.ports import Embedder, EmbedderStatistics, Placement
    from ragstone.types import Matrix, TokenCounter, Vector


class WrappedEmbedder:
    """Passes everything on; subclasses say what they do on the way."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    @property
    def model_id(self) -> str:
        """Of the embedder behind."""
        return self._embedder.model_id

    @property
    def revision(self) -> str:
        """Of the embedder behind."""
        return self._embedder.revision

    @property
    def dim(self) -> int:
        """Of the embedder behind."""
        return self._embedder.dim

    @property
    def max_tokens(self) -> int:
        """Of the embedder behind."""
        return self._embedder.max_tokens

    @property
    def languages(self) -> frozenset[str]:
        """Of the embedder behind."""
        return self._embedder.languages

    @property
    def placement(self) -> Placement:
        """Of the embedder behind."""
        return self._embedder.placement

    @property
    def tokens(self) -> TokenCounter:
        """Of the embedder behind."""
        return self._embedder.tokens

    async def embed_query(self, text: str, deadline: Deadline) -> Vector:
        """The vector of one query."""
        return await self._embedder.embed_query(text, deadline)

    async def embed_queries(self, texts: Sequence[str], deadline: Deadline) -> Matrix:
        """The vectors of a few texts that one caller waits for."""
        return await self._embedder.embed_queries(texts, deadline)

    async def embed_passages(self, texts: Sequence[str]) -> Matrix:
        """The vectors of many passages."""
        return await self._embedder.embed_passages(texts)

    def statistics(self) -> EmbedderStatistics:
        """Of the embedder behind."""
        return self._embedder.statistics()

    async def aclose(self) -> None:
        """Close the embedder behind."""
        await self._embedder.aclose()
