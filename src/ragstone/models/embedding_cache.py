"""The vectors of recent queries, so that a repeated question does not wait for the model."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from ragstone.cache.cache import Cost, Kind
from ragstone.cache.keys import EmbeddingKey, key_of
from ragstone.models.wrapped import WrappedEmbedder
from ragstone.telemetry.trail import present_trail

if TYPE_CHECKING:
    from ragstone.cache.cache import Cache
    from ragstone.deadline import Deadline
    from ragstone.models.ports import Embedder
    from ragstone.telemetry.trail import CacheOutcome
    from ragstone.types import Vector


def _encode(vector: Vector) -> bytes:
    return vector.astype("<f4", copy=False).tobytes()


def _decode(payload: bytes) -> Vector:
    return np.frombuffer(payload, "<f4")


QUERY_EMBEDDING = Kind("query_embedding", _encode, _decode)
"""Vectors as float32 little-endian: read-only when they come from here."""


def _note(outcome: CacheOutcome) -> None:
    trail = present_trail()
    if trail is not None:
        trail.decide("query_embedding", outcome)


class CachingEmbedder(WrappedEmbedder):
    """Remembers the vectors of recent queries; passages pass through.

    The key is the model's revision and a hash of the text, so another model never sees these vectors;
    an entry is the vector alone, and the text itself is not kept.
    """

    def __init__(self, embedder: Embedder, cache: Cache) -> None:
        super().__init__(embedder)
        self._cache = cache
        self._hits = 0
        self._misses = 0

    async def embed_query(self, text: str, deadline: Deadline) -> Vector:
        """The vector of one query, read-only; a failure is not remembered."""
        key = key_of("query_embedding", EmbeddingKey(self._model, text.encode("utf-8", "surrogatepass")))
        found = await self._cache.get(QUERY_EMBEDDING, key)
        if found is not None and found.shape == (self.dim,):
            self._hits += 1
            _note("hit")
            return found
        self._misses += 1
        _note("miss")
        began = time.perf_counter()
        vector = await self._embedder.embed_query(text, deadline)
        vector.flags.writeable = False
        self._cache.put(QUERY_EMBEDDING, key, vector, cost=Cost((time.perf_counter() - began) * 1000))
        return vector

    def lookups(self) -> tuple[int, int]:
        """Hits and misses since the cache was made."""
        return self._hits, self._misses

    @property
    def _model(self) -> str:
        return f"{self._embedder.model_id}@{self._embedder.revision}"
