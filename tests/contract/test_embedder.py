"""What every embedder promises, whatever model is behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pytest

from ragstone.cache.cache import Cache, limits_of
from ragstone.deadline import Deadline
from ragstone.errors import DeadlineExceeded
from ragstone.models.embedding_cache import CachingEmbedder
from ragstone.models.fakes import HashEmbedder
from ragstone.models.local import open_local_embedder
from ragstone.models.ports import Embedder
from ragstone.settings import CacheSettings

pytestmark = pytest.mark.anyio
TEXTS = ["A stone wall.", "", "Ragstone comes from Kent.", "a", "石の壁", "word " * 400, "A stone wall."]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The server runs on asyncio."""
    return "asyncio"


@pytest.fixture(params=["bundled", "hash", "cached hash"])
async def embedder(request: pytest.FixtureRequest) -> AsyncIterator[Embedder]:
    """Every implementation in turn."""
    opened: Embedder
    match request.param:
        case "bundled":
            opened = await open_local_embedder()
        case "hash":
            opened = HashEmbedder()
        case _:
            opened = CachingEmbedder(HashEmbedder(), Cache(limits_of(CacheSettings())))
    yield opened
    await opened.aclose()


async def test_passages_are_float32_unit_rows(embedder: Embedder) -> None:
    """`(n, dim)` float32, each of length one, whatever the text."""
    rows = await embedder.embed_passages(TEXTS)

    assert rows.shape == (len(TEXTS), embedder.dim)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)


async def test_no_passages_are_no_rows(embedder: Embedder) -> None:
    """An empty list is a value."""
    assert (await embedder.embed_passages([])).shape == (0, embedder.dim)


async def test_rows_follow_the_order_of_the_texts(embedder: Embedder) -> None:
    """Each row is the vector of its text, and equal texts have equal vectors."""
    rows = await embedder.embed_passages(TEXTS)
    back = await embedder.embed_passages(TEXTS[::-1])

    assert np.min(np.sum(rows * back[::-1], axis=1)) >= 0.99999
    assert float(rows[0] @ rows[-1]) >= 0.99999


async def test_a_query_and_a_passage_of_one_text_share_a_vector(embedder: Embedder) -> None:
    """Queries and passages live in one space."""
    row = (await embedder.embed_passages(["a stone wall"]))[0]
    vector = await embedder.embed_query("a stone wall", Deadline.after(5))

    assert vector.shape == (embedder.dim,)
    assert vector.dtype == np.float32
    assert float(row @ vector) >= 0.99999


async def test_a_query_without_time_is_refused(embedder: Embedder) -> None:
    """A deadline that is over ends it before the model runs."""
    before = embedder.statistics().texts

    with pytest.raises(DeadlineExceeded):
        await embedder.embed_query("a", Deadline.after(-1))

    assert embedder.statistics().texts == before


async def test_it_says_which_model_it_is(embedder: Embedder) -> None:
    """Identity, window and counter are there before the first text."""
    assert embedder.model_id
    assert embedder.revision
    assert embedder.max_tokens > 0
    assert embedder.tokens.count("") == 0
    assert embedder.tokens.count("two words") >= 2


async def test_statistics_count_texts(embedder: Embedder) -> None:
    """Runs and texts grow with the work."""
    await embedder.embed_passages(["a", "b", "c"])

    statistics = embedder.statistics()
    assert statistics.texts == 3
    assert statistics.batches >= 1
    assert statistics.queue_length == 0


async def test_texts_of_one_caller_have_the_vectors_of_queries(embedder: Embedder) -> None:
    """A few texts at once are embedded as one by one, in order; none are no rows."""
    rows = await embedder.embed_queries(TEXTS, Deadline.after(30))
    alone = await embedder.embed_query(TEXTS[2], Deadline.after(30))

    assert rows.shape == (len(TEXTS), embedder.dim)
    assert rows.dtype == np.float32
    assert float(rows[2] @ alone) >= 0.99999
    assert (await embedder.embed_queries([], Deadline.after(30))).shape == (0, embedder.dim)


async def test_texts_without_time_are_refused(embedder: Embedder) -> None:
    """A deadline that is over ends them before the model runs."""
    with pytest.raises(DeadlineExceeded):
        await embedder.embed_queries(["a"], Deadline.after(-1))
