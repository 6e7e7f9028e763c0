"""The vectors of recent queries, so that a repeated question does not wait for the model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ragstone.cache.cache import Cost, Kind
from ragstone.cache.keys import EmbeddingKey, key_of

if TYPE_CHECKING:
    from ragstone.cache.cache import Cache
    from ragstone.deadline import Deadline
    from ragstone.models.ports import Embedder, EmbedderStatistics, Placement
    from ragstone.types import Matrix, TokenCounter, Vector


def _encode(vector: Vector) -> bytes:
    return vector.astype("<f4", copy=False).tobytes()


def _decode(payload: bytes) -> Vector:
    return np.frombuffer(payload, "<f4")


QUERY_EMBEDDING = Kind("query_embedding", _encode, _decode)
"""Vectors as float32 little-endian: read-only when they come from here."""


class CachingEmbedder:
    """Remembers the vectors of recent queries; passages pass through.

    The key is the model's revision and a hash of the text, so another model never sees these vectors;
    an entry is the vector alone, and the text itself is not kept.
    """

    def __init__(self, embedder: Embedder, cache: Cache) -> None:
        self._embedder = embedder
        self._cache = cache
        self._hits = 0
        self._misses = 0

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
        """The vector of one query, read-only; a failure is not remembered."""
        key = key_of("query_embedding", EmbeddingKey(self._model, text.encode("utf-8", "surrogatepass")))
        found = await self._cache.get(QUERY_EMBEDDING, key)
        if found is not None and found.shape == (self.dim,):
            self._hits += 1
            return found
        self._misses += 1
        began = time.perf_counter()
        vector = await self._embedder.embed_query(text, deadline)
        vector.flags.writeable = False
        self._cache.put(QUERY_EMBEDDING, key, vector, cost=Cost((time.perf_counter() - began) * 1000))
        return vector

    async def embed_queries(self, texts: Sequence[str], deadline: Deadline) -> Matrix:
        """The vectors of a few texts that one caller waits for, never cached."""
        return await self._embedder.embed_queries(texts, deadline)

    async def embed_passages(self, texts: Sequence[str]) -> Matrix:
        """The vectors of many passages, never cached: each is embedded once and then stored."""
        return await self._embedder.embed_passages(texts)

    def statistics(self) -> EmbedderStatistics:
        """Of the embedder behind: hits do not count."""
        return self._embedder.statistics()

    def lookups(self) -> tuple[int, int]:
        """Hits and misses since the cache was made."""
        return self._hits, self._misses

    async def aclose(self) -> None:
        """Close the embedder behind."""
        await self._embedder.aclose()

    @property
    def _model(self) -> str:
        return f"{self._embedder.model_id}@{self._embedder.revision}"
