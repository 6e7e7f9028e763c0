"""Text to vectors, synchronously: tokens > batches > graph > rows in the caller's order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ragstone.models.card import ModelCard
from ragstone.models.ports import Placement
from ragstone.models.text_batches import Ids, pad, plan_batches
from ragstone.models.tokens import ModelTokens
from ragstone.types import Matrix

BATCH_BUDGET_TOKENS = 800
"""Four chunks of 200 tokens: the middle of a flat top; at 3,200 the layers' products fall out of the
processor's cache (docs/models.md)."""
GPU_BATCH_BUDGET_TOKENS = 8192
"""A whole slice of 32 windows: on a GPU small runs are spent on starting kernels (not measured here)."""
MAX_BATCH_TEXTS = 32


class Graph(Protocol):
    """A loaded model file; `run` may be called from several threads at once."""

    @property
    def placement(self) -> Placement:
        """Where it runs now."""
        ...

    def run(self, ids: Ids, mask: Ids) -> Matrix:
        """Unit rows, one per row of `ids`.

        Raises:
            EmbeddingFailed: the runtime failed.
        """
        ...


class SentenceEncoder:
    """A model of one folder on one runtime; safe to call from several threads."""

    def __init__(self, card: ModelCard, tokens: ModelTokens, graph: Graph) -> None:
        self.card = card
        self.tokens = tokens
        self._graph = graph

    @property
    def placement(self) -> Placement:
        """Where the model runs now."""
        return self._graph.placement

    def encode(self, texts: Sequence[str]) -> Matrix:
        """`(len(texts), dim)` float32 unit rows in the order of `texts`.

        Raises:
            EmbeddingFailed: the runtime failed.
        """
        windows = self.tokens.windows(texts)
        rows = np.empty((len(texts), self.card.dim), np.float32)
        budget = BATCH_BUDGET_TOKENS if self.placement.device == "cpu" else GPU_BATCH_BUDGET_TOKENS
        for batch in plan_batches([len(window) for window in windows], budget, MAX_BATCH_TEXTS):
            rows[batch] = self._graph.run(*pad([windows[position] for position in batch]))
        return rows
