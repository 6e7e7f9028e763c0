"""What stands in for an embedding model that could not be opened: the rest of the product goes on."""

from __future__ import annotations

from collections.abc import Sequence

from ragstone.deadline import Deadline
from ragstone.errors import EmbeddingFailed
from ragstone.models.ports import EmbedderStatistics, Placement
from ragstone.types import Matrix, TokenCounter, Vector


class UnavailableEmbedder:
    """Fails every embedding with the reason, so that searches lean on the lexical leg and say so."""

    model_id = "unavailable"
    revision = ""
    dim = 1
    max_tokens = 0
    languages: frozenset[str] = frozenset()

    def __init__(self, reason: str) -> None:
        self.reason = reason

    @property
    def tokens(self) -> TokenCounter:
        """There is no tokenizer without a model.

        Raises:
            EmbeddingFailed: always.
        """
        raise EmbeddingFailed(self.reason)

    async def embed_query(self, text: str, deadline: Deadline) -> Vector:  # noqa: ARG002
        """Fails.

        Raises:
            EmbeddingFailed: always.
        """
        raise EmbeddingFailed(self.reason)

    async def embed_queries(self, texts: Sequence[str], deadline: Deadline) -> Matrix:  # noqa: ARG002
        """Fails.

        Raises:
            EmbeddingFailed: always.
        """
        raise EmbeddingFailed(self.reason)

    async def embed_passages(self, texts: Sequence[str]) -> Matrix:  # noqa: ARG002
        """Fails.

        Raises:
            EmbeddingFailed: always.
        """
        raise EmbeddingFailed(self.reason)

    @property
    def placement(self) -> Placement:
        """Nowhere."""
        return Placement("none", "none", "none", "none", note=self.reason)

    def statistics(self) -> EmbedderStatistics:
        """Nothing was embedded."""
        return EmbedderStatistics()

    async def aclose(self) -> None:
        """There is nothing to close."""
