"""Queries in micro-batches, passages in slices beside them."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence

import numpy as np
import pytest
from tests.support.waiting import turns

from ragstone.deadline import Deadline
from ragstone.errors import DeadlineExceeded, EmbeddingFailed, Overloaded
from ragstone.models.batching import BatchingLimits, LocalEmbedder
from ragstone.models.card import ModelCard
from ragstone.models.fakes import WordCounter
from ragstone.models.hardware import BACKGROUND_NICENESS
from ragstone.models.ports import Placement
from ragstone.types import Matrix

pytestmark = pytest.mark.anyio
LIMIT_S = 30.0


class GatedEncoder:
    """Encodes a text as its number; runs stop at `gate` until it opens."""

    def __init__(self) -> None:
        self.card = ModelCard("gated", "1", 1, 256, 0)
        self.tokens = WordCounter()
        self.placement = Placement("cpu", "none", "none", "float32")
        self.gate = threading.Event()
        self.gate.set()
        self.batches: list[list[str]] = []
        self.began = threading.Semaphore(0)

    def encode(self, texts: Sequence[str]) -> Matrix:
        """Note the batch, wait for the gate."""
        self.batches.append(list(texts))
        self.began.release()
        if "bulk" not in texts[0] and not self.gate.wait(LIMIT_S):
            raise AssertionError("the gate stayed shut")
        if "fail" in texts:
            raise EmbeddingFailed("told to fail")
        return np.array([[float(text.split()[-1])] for text in texts], np.float32)

    async def has_begun(self) -> None:
        """Wait until one more run has begun."""
        assert await asyncio.to_thread(self.began.acquire, timeout=LIMIT_S)


@pytest.fixture
def encoder() -> GatedEncoder:
    """An encoder with an open gate."""
    return GatedEncoder()


@pytest.fixture
async def make(encoder: GatedEncoder) -> AsyncIterator[Callable[..., LocalEmbedder]]:
    """Builds embedders over `encoder` and closes them."""
    made: list[LocalEmbedder] = []

    def build(limits: BatchingLimits | None = None) -> LocalEmbedder:
        made.append(LocalEmbedder(encoder, limits))
        return made[-1]

    yield build
    encoder.gate.set()
    for embedder in made:
        await embedder.aclose()


def ask(embedder: LocalEmbedder, text: str) -> asyncio.Task[float]:
    """Embed `text` in a task of its own."""

    async def embed() -> float:
        return float((await embedder.embed_query(text, Deadline.after(LIMIT_S)))[0])

    return asyncio.create_task(embed())


async def blocked(encoder: GatedEncoder, embedder: LocalEmbedder) -> asyncio.Task[float]:
    """A first query that holds the query thread at the gate."""
    encoder.gate.clear()
    first = ask(embedder, "0")
    await encoder.has_begun()
    return first


async def stuck(encoder: GatedEncoder, embedder: LocalEmbedder) -> asyncio.Task[Matrix]:
    """A hundred passages, their first slice held at the gate."""
    encoder.gate.clear()
    ingest = asyncio.create_task(embedder.embed_passages([str(n) for n in range(100)]))
    await encoder.has_begun()
    return ingest


async def test_an_idle_embedder_runs_at_once(
    encoder: GatedEncoder, make: Callable[..., LocalEmbedder]
) -> None:
    """One query does not wait for company."""
    assert await ask(make(), "7") == 7.0

    assert encoder.batches == [["7"]]


async def test_what_waits_goes_together(encoder: GatedEncoder, make: Callable[..., LocalEmbedder]) -> None:
    """Queries that arrive while a batch runs become the next batch."""
    embedder = make()
    first = await blocked(encoder, embedder)
    others = [ask(embedder, str(n)) for n in range(1, 21)]
    await turns()
    waiting = embedder.statistics().queue_length

    encoder.gate.set()
    answers = await asyncio.gather(first, *others)

    assert waiting == 20
    assert [len(batch) for batch in encoder.batches] == [1, 20]
    assert answers == [float(n) for n in range(21)]


async def test_queries_of_one_turn_are_one_batch(
    encoder: GatedEncoder, make: Callable[..., LocalEmbedder]
) -> None:
    """Even an idle embedder takes what arrives in the same turn of the loop together."""
    embedder = make()

    await asyncio.gather(*[ask(embedder, str(n)) for n in range(8)])

    assert [len(batch) for batch in encoder.batches] == [8]


async def test_a_batch_has_a_largest_size(encoder: GatedEncoder, make: Callable[..., LocalEmbedder]) -> None:
    """More than a batch of waiting queries becomes several."""
    embedder = make(BatchingLimits(batch_texts=4))

    await asyncio.gather(*[ask(embedder, str(n)) for n in range(10)])

    assert [len(batch) for batch in encoder.batches] == [4, 4, 2]


async def test_a_cancelled_query_is_dropped(
    encoder: GatedEncoder, make: Callable[..., LocalEmbedder]
) -> None:
    """A client that left while waiting costs the model nothing."""
    embedder = make()
    first = await blocked(encoder, embedder)
    left, stays = ask(embedder, "1"), ask(embedder, "2")
    await turns()

    left.cancel()
    await turns()
    encoder.gate.set()
    await asyncio.gather(first, stays)

    assert encoder.batches == [["0"], ["2"]]
    assert left.cancelled()


async def test_a_query_cancelled_while_it_runs_harms_nobody(
    encoder: GatedEncoder, make: Callable[..., LocalEmbedder]
) -> None:
    """Its batch goes on for the others."""
    embedder = make()
    first = await blocked(encoder, embedder)

    first.cancel()
    await turns()
    encoder.gate.set()

    assert await ask(embedder, "3") == 3.0


async def test_a_full_queue_refuses(encoder: GatedEncoder, make: Callable[..., LocalEmbedder]) -> None:
    """The query over the limit fails at once; the others are answered."""
    embedder = make(BatchingLimits(waiting_queries=2))
    first = await blocked(encoder, embedder)
    waiting = [ask(embedder, "1"), ask(embedder, "2")]
    await turns()

    with pytest.raises(Overloaded, match="2 queries wait"):
        await ask(embedder, "3")

    encoder.gate.set()
    assert await asyncio.gather(first, *waiting) == [0.0, 1.0, 2.0]


async def test_a_query_whose_time_is_up_leaves_the_queue(
    encoder: GatedEncoder, make: Callable[..., LocalEmbedder]
) -> None:
    """The deadline ends the wait with its own error."""
    embedder = make()
    first = await blocked(encoder, embedder)

    with pytest.raises(DeadlineExceeded, match="waited for the embedding model"):
        await embedder.embed_query("1", Deadline.after(0.01))

    encoder.gate.set()
    await first
    assert encoder.batches == [["0"]]


async def test_a_failed_batch_fails_its_queries_only(
    encoder: GatedEncoder, make: Callable[..., LocalEmbedder]
) -> None:
    """The next batch runs."""
    embedder = make()

    with pytest.raises(EmbeddingFailed):
        await ask(embedder, "fail")

    assert await ask(embedder, "5") == 5.0


async def test_a_query_overtakes_a_long_ingest(
    encoder: GatedEncoder, make: Callable[..., LocalEmbedder]
) -> None:
    """Queries have a thread of their own: one is answered while a slice of passages is stuck."""
    embedder = make()
    ingest = await stuck(encoder, embedder)

    answer = await ask(embedder, "bulk-free 9")

    assert answer == 9.0
    assert not ingest.done()
    encoder.gate.set()
    assert (await ingest)[:, 0].tolist() == [float(n) for n in range(100)]


async def test_passages_run_in_slices_and_come_back_in_order(
    encoder: GatedEncoder, make: Callable[..., LocalEmbedder]
) -> None:
    """Slices of at most 32, like lengths together, rows as given."""
    texts = [f"{'word ' * (n % 7)}{n}" for n in range(70)]

    rows = await make().embed_passages(texts)

    assert rows[:, 0].tolist() == [float(n) for n in range(70)]
    assert [len(batch) for batch in encoder.batches] == [32, 32, 6]


async def test_cancelling_an_ingest_ends_it_after_its_slice(
    encoder: GatedEncoder, make: Callable[..., LocalEmbedder]
) -> None:
    """The remaining slices are never begun."""
    embedder = make()
    ingest = await stuck(encoder, embedder)

    ingest.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ingest
    encoder.gate.set()
    await embedder.aclose()

    assert len(encoder.batches) == 1


async def test_too_many_bulk_callers_are_refused(
    encoder: GatedEncoder, make: Callable[..., LocalEmbedder]
) -> None:
    """The bound counts callers, not passages."""
    embedder = make(BatchingLimits(bulk_callers=1))
    encoder.gate.clear()
    ingest = asyncio.create_task(embedder.embed_passages(["1"]))
    await encoder.has_begun()

    with pytest.raises(Overloaded, match="1 callers embed passages"):
        await embedder.embed_passages(["2"])

    encoder.gate.set()
    await ingest


async def test_closing_refuses_what_waits_and_lets_what_runs_end(
    encoder: GatedEncoder, make: Callable[..., LocalEmbedder]
) -> None:
    """Nobody hangs when the server stops."""
    embedder = make()
    first = await blocked(encoder, embedder)
    waiting = ask(embedder, "1")
    await turns()

    closing = asyncio.create_task(embedder.aclose())
    with pytest.raises(Overloaded, match="being closed"):
        await waiting
    encoder.gate.set()
    await closing

    assert await first == 0.0
    for late in (embedder.embed_query("2", Deadline.after(LIMIT_S)), embedder.embed_passages(["2"])):
        with pytest.raises(Overloaded):
            await late


async def test_statistics_count_runs_and_texts(
    encoder: GatedEncoder, make: Callable[..., LocalEmbedder]
) -> None:
    """Batches, their mean size, and time by the clock that was given."""
    ticks = iter(range(100))
    embedder = LocalEmbedder(encoder, clock=lambda: float(next(ticks)))

    await embedder.embed_passages([str(n) for n in range(48)])
    await embedder.aclose()

    statistics = embedder.statistics()
    assert (statistics.batches, statistics.texts, statistics.queue_length) == (2, 48, 0)
    assert statistics.batch_sizes == (0, 0, 0, 0, 1, 1, 0)


async def test_texts_that_one_caller_waits_for_go_ahead_of_passages(
    make: Callable[..., LocalEmbedder], encoder: GatedEncoder
) -> None:
    """Sentences of an answer share a batch with the queries, in the caller's order."""
    embedder = make()

    rows = await embedder.embed_queries(["three 3", "one 1", "two 2"], Deadline.after(LIMIT_S))

    assert rows.tolist() == [[3.0], [1.0], [2.0]]
    assert encoder.batches == [["three 3", "one 1", "two 2"]]


async def test_one_failure_ends_all_texts_of_a_caller_and_the_next_caller_is_served(
    make: Callable[..., LocalEmbedder],
) -> None:
    """The error comes as it is, and nothing is left waiting."""
    embedder = make()

    with pytest.raises(EmbeddingFailed):
        await embedder.embed_queries(["fail", "one 1"], Deadline.after(LIMIT_S))

    assert embedder.statistics().queue_length == 0
    assert await ask(embedder, "two 2") == 2.0


@pytest.mark.skipif(sys.platform != "linux", reason="priorities belong to threads on Linux only")
async def test_passages_run_in_an_encoder_and_at_a_priority_of_their_own() -> None:
    """What the bulk encoder's thread starts inherits its low priority; queries keep theirs."""
    priorities: list[int] = []

    class Noting(GatedEncoder):
        def encode(self, texts: Sequence[str]) -> Matrix:
            priorities.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
            return super().encode(texts)

    mine = os.getpriority(os.PRIO_PROCESS, 0)
    embedder = LocalEmbedder(Noting(), open_bulk_encoder=Noting)

    await embedder.embed_query("one 1", Deadline.after(LIMIT_S))
    await embedder.embed_passages(["bulk 1"])
    await embedder.aclose()

    assert priorities == [mine, max(mine, BACKGROUND_NICENESS)]
