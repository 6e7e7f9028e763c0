"""Text to vectors, synchronously: tokens > batches > graph > rows in the caller's order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ragstone.models.card import ModelCard
from ragstone.models.text_batches import Ids, pad, plan_batches
from ragstone.models.tokens import ModelTokens
from ragstone.types import Matrix

BATCH_BUDGET_TOKENS = 800
"""Four chunks of 200 tokens: the middle of a flat top; at 3,200 the layers' products fall out of the
processor's cache (docs/models.md)."""
MAX_BATCH_TEXTS = 32


class Graph(Protocol):
    """A loaded model file; `run` may be called from several threads at once."""

    @property
    def runtime(self) -> str:
        """What runs it and how, such as "onnxruntime float32"."""
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
    def runtime(self) -> str:
        """What runs the model and how."""
        return self._graph.runtime

    def encode(self, texts: Sequence[str]) -> Matrix:
        """`(len(texts), dim)` float32 unit rows in the order of `texts`.

        Raises:
            EmbeddingFailed: the runtime failed.
        """
        windows = self.tokens.windows(texts)
        rows = np.empty((len(texts), self.card.dim), np.float32)
        for batch in plan_batches([len(window) for window in windows], BATCH_BUDGET_TOKENS, MAX_BATCH_TEXTS):
            rows[batch] = self._graph.run(*pad([windows[position] for position in batch]))
        return rows
