"""An embedder behind its breaker."""

from __future__ import annotations

import asyncio

import pytest

from ragstone.deadline import Deadline
from ragstone.errors import BreakerOpen, DeadlineExceeded, EmbeddingFailed
from ragstone.models.fakes import HashEmbedder
from ragstone.models.guarded import FAIR_S, GuardedEmbedder
from ragstone.resilience.breaker import Breaker, BreakerRules

pytestmark = pytest.mark.anyio


def guarded(embedder: HashEmbedder, failures: int = 2) -> tuple[GuardedEmbedder, Breaker]:
    """The embedder behind a breaker that opens soon."""
    breaker = Breaker("embedder", BreakerRules(failures=failures))
    return GuardedEmbedder(embedder, breaker), breaker


async def test_a_failing_embedder_is_left_alone() -> None:
    """After the second failure queries are told at once; passages still go through to their job's retries."""
    inner = HashEmbedder()
    embedder, _ = guarded(inner)
    inner.is_failing = True
    for _ in range(2):
        with pytest.raises(EmbeddingFailed):
            await embedder.embed_query("a", Deadline.never())
    inner.is_failing = False

    with pytest.raises(BreakerOpen):
        await embedder.embed_queries(["a"], Deadline.never())

    assert len(await embedder.embed_passages(["a"])) == 1


async def test_a_silent_embedder_counts_when_it_had_time() -> None:
    """A query whose time ran out counts; one that came with next to none does not."""
    inner = HashEmbedder()
    inner.gate = asyncio.Event()
    embedder, breaker = guarded(inner, failures=1)
    with pytest.raises(DeadlineExceeded):
        await embedder.embed_query("a", Deadline.after(0.05))
    assert breaker.figures().state == "closed"

    with pytest.raises(DeadlineExceeded, match="did not answer"):
        await embedder.embed_query("a", Deadline.after(FAIR_S + 0.05))

    assert breaker.state == "open"
