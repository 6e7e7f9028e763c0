"""Query vectors kept in memory, in front of any embedder."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cachetools import TTLCache

from ragstone.deadline import Deadline
from ragstone.models.ports import Embedder, EmbedderStatistics
from ragstone.types import Matrix, TokenCounter, Vector

DAY_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """Look-ups since the cache was made, and what it holds now."""

    hits: int
    misses: int
    entries: int


class CachingEmbedder:
    """Remembers the vectors of recent queries; passages pass through.

    The key is the model's revision and a hash of the text, so another model never sees these vectors;
    an entry is the vector alone, and the text itself is not kept.
    """

    def __init__(
        self,
        embedder: Embedder,
        entries: int = 4096,
        ttl_s: float = DAY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._embedder = embedder
        self._vectors: TTLCache[bytes, Vector] = TTLCache(entries, ttl_s, clock)
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
    def tokens(self) -> TokenCounter:
        """Of the embedder behind."""
        return self._embedder.tokens

    async def embed_query(self, text: str, deadline: Deadline) -> Vector:
        """The vector of one query, read-only; a failure is not remembered."""
        key = self._key(text)
        found: Vector | None = self._vectors.get(key)
        if found is not None:
            self._hits += 1
            return found
        self._misses += 1
        vector = await self._embedder.embed_query(text, deadline)
        vector.flags.writeable = False
        if self._vectors.maxsize:
            self._vectors[key] = vector
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

    def cache_statistics(self) -> CacheStatistics:
        """How well the cache does."""
        return CacheStatistics(self._hits, self._misses, len(self._vectors))

    async def aclose(self) -> None:
        """Forget all vectors and close the embedder behind."""
        self._vectors.clear()
        await self._embedder.aclose()

    def _key(self, text: str) -> bytes:
        content = f"{self.revision}\0{text}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(content, digest_size=16).digest()
