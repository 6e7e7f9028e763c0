"""The cache of query vectors."""

from __future__ import annotations

import numpy as np
import pytest

from ragstone.deadline import Deadline
from ragstone.errors import EmbeddingFailed
from ragstone.models.embedding_cache import DAY_S, CacheStatistics, CachingEmbedder
from ragstone.models.fakes import HashEmbedder

pytestmark = pytest.mark.anyio


class HandClock:
    """A clock that the test moves."""

    now_s = 0.0

    def __call__(self) -> float:
        """Seconds since the test began."""
        return self.now_s


async def test_a_repeated_query_does_not_reach_the_model() -> None:
    """The second look-up is a hit with the same vector."""
    model = HashEmbedder()
    cache = CachingEmbedder(model)

    first = await cache.embed_query("green stone", Deadline.never())
    second = await cache.embed_query("green stone", Deadline.never())

    np.testing.assert_array_equal(first, second)
    assert cache.cache_statistics() == CacheStatistics(hits=1, misses=1, entries=1)
    assert model.statistics().texts == 1


async def test_another_revision_never_sees_old_vectors() -> None:
    """The key holds the model's revision."""
    model = HashEmbedder()
    cache = CachingEmbedder(model)
    await cache.embed_query("green stone", Deadline.never())

    model.revision = "2"
    await cache.embed_query("green stone", Deadline.never())

    assert cache.cache_statistics().hits == 0


async def test_an_entry_ends_after_a_day() -> None:
    """24 hours by the clock that was given."""
    clock = HandClock()
    cache = CachingEmbedder(HashEmbedder(), clock=clock)
    await cache.embed_query("green stone", Deadline.never())

    clock.now_s = DAY_S + 1
    await cache.embed_query("green stone", Deadline.never())

    assert cache.cache_statistics().hits == 0


async def test_the_cache_is_bounded_and_drops_the_longest_unused() -> None:
    """Two entries: the third query drops the one not asked for again."""
    cache = CachingEmbedder(HashEmbedder(), entries=2)
    for text in ("a", "b", "a", "c", "a"):
        await cache.embed_query(text, Deadline.never())

    assert cache.cache_statistics() == CacheStatistics(hits=2, misses=3, entries=2)


async def test_a_cached_vector_cannot_be_written() -> None:
    """A caller that changed it would change it for all."""
    vector = await CachingEmbedder(HashEmbedder()).embed_query("a", Deadline.never())

    with pytest.raises(ValueError, match="read-only"):
        vector[0] = 1.0


async def test_a_failure_is_not_remembered() -> None:
    """The next call asks the model again."""
    model = HashEmbedder()
    cache = CachingEmbedder(model)
    model.is_failing = True
    with pytest.raises(EmbeddingFailed):
        await cache.embed_query("a", Deadline.never())

    model.is_failing = False

    assert (await cache.embed_query("a", Deadline.never())).shape == (model.dim,)
