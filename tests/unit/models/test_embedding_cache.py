"""The cache of query vectors."""

from __future__ import annotations

import numpy as np
import pytest

from ragstone.cache.cache import Cache, Limits, limits_of
from ragstone.deadline import Deadline
from ragstone.errors import EmbeddingFailed
from ragstone.models.embedding_cache import CachingEmbedder
from ragstone.models.fakes import HashEmbedder
from ragstone.settings import CacheSettings

pytestmark = pytest.mark.anyio


class HandClock:
    """A clock that the test moves."""

    now_s = 0.0

    def __call__(self) -> float:
        """Seconds since the test began."""
        return self.now_s


def vectors(clock: HandClock | None = None) -> Cache:
    """The caches as they are by default."""
    return Cache(limits_of(CacheSettings()), clock=clock or HandClock())


def figures(cache: Cache) -> tuple[int, int, int]:
    """Hits, misses and entries of the query embeddings."""
    found = next(one for one in cache.statistics() if one.name == "query_embedding")
    return sum(found.hits.values()), found.misses, found.entries


async def test_a_repeated_query_does_not_reach_the_model() -> None:
    """The second look-up is a hit with the same vector."""
    model, kept = HashEmbedder(), vectors()
    cache = CachingEmbedder(model, kept)

    first = await cache.embed_query("green stone", Deadline.never())
    second = await cache.embed_query("green stone", Deadline.never())

    np.testing.assert_array_equal(first, second)
    assert figures(kept) == (1, 1, 1)
    assert cache.lookups() == (1, 1)
    assert model.statistics().texts == 1


async def test_another_revision_never_sees_old_vectors() -> None:
    """The key holds the model's revision."""
    model, kept = HashEmbedder(), vectors()
    cache = CachingEmbedder(model, kept)
    await cache.embed_query("green stone", Deadline.never())

    model.revision = "2"
    await cache.embed_query("green stone", Deadline.never())

    assert figures(kept)[0] == 0


async def test_an_entry_ends_after_a_day() -> None:
    """24 hours by the clock that was given."""
    clock = HandClock()
    kept = vectors(clock)
    cache = CachingEmbedder(HashEmbedder(), kept)
    await cache.embed_query("green stone", Deadline.never())

    clock.now_s = 24 * 3600 + 1
    await cache.embed_query("green stone", Deadline.never())

    assert figures(kept)[0] == 0


async def test_the_cache_is_bounded_and_drops_the_longest_unused() -> None:
    """Two entries: the third query drops the one not asked for again."""
    model, measured = HashEmbedder(), vectors()
    await CachingEmbedder(model, measured).embed_query("a", Deadline.never())
    entry_bytes = max(one.size_bytes for one in measured.statistics())
    kept = Cache({"query_embedding": Limits(3600.0, 2 * entry_bytes)}, clock=HandClock())
    cache = CachingEmbedder(model, kept)
    for text in ("a", "b", "a", "c", "a"):
        await cache.embed_query(text, Deadline.never())

    assert figures(kept) == (2, 3, 2)


async def test_a_cached_vector_cannot_be_written() -> None:
    """A caller that changed it would change it for all."""
    vector = await CachingEmbedder(HashEmbedder(), vectors()).embed_query("a", Deadline.never())

    with pytest.raises(ValueError, match="read-only"):
        vector[0] = 1.0


async def test_a_failure_is_not_remembered() -> None:
    """The next call asks the model again."""
    model = HashEmbedder()
    cache = CachingEmbedder(model, vectors())
    model.is_failing = True
    with pytest.raises(EmbeddingFailed):
        await cache.embed_query("a", Deadline.never())

    model.is_failing = False

    assert (await cache.embed_query("a", Deadline.never())).shape == (model.dim,)
