"""An encoder behind the event loop: queries in micro-batches, passages in slices beside them."""

from __future__ import annotations

import asyncio
import bisect
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import anyio
import numpy as np

from ragstone.deadline import Deadline
from ragstone.errors import DeadlineExceeded, Overloaded
from ragstone.models.card import ModelCard
from ragstone.models.hardware import give_way
from ragstone.models.ports import EmbedderStatistics, Placement
from ragstone.telemetry.families import BATCH_BUCKETS
from ragstone.telemetry.spans import span
from ragstone.types import Matrix, TokenCounter, Vector

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ragstone.telemetry.spans import Span

Encode = Callable[[Sequence[str]], Matrix]


class TextEncoder(Protocol):
    """What is batched: `SentenceEncoder`, in tests something slower and simpler."""

    @property
    def card(self) -> ModelCard:
        """Identity and limits of the model."""
        ...

    @property
    def tokens(self) -> TokenCounter:
        """The model's tokenizer."""
        ...

    @property
    def placement(self) -> Placement:
        """Where the model runs now."""
        ...

    def encode(self, texts: Sequence[str]) -> Matrix:
        """`(len(texts), dim)` unit rows; called from two threads at once."""
        ...


@dataclass(frozen=True, slots=True)
class BatchingLimits:
    """How much may run and wait."""

    batch_texts: int = 32
    """Queries per micro-batch, and passages per slice."""
    waiting_queries: int = 1024
    bulk_callers: int = 64
    """Callers of `embed_passages` at a time."""
    bulk_threads: int = 1
    """Slices that run at a time; one run already uses all the model's threads."""


class MicroBatcher:
    """Gathers single texts into batches without ever waiting for more to come.

    An idle batcher runs what arrived in the current turn of the event loop; what arrives while a batch
    runs goes together into the next one. Belongs to one event loop.
    """

    def __init__(self, encode: Encode, limits: BatchingLimits) -> None:
        self._encode = encode
        self._limits = limits
        self._thread = ThreadPoolExecutor(1, "embed-queries")
        self._waiting: deque[tuple[str, asyncio.Future[Vector]]] = deque()
        self._running: asyncio.Future[Matrix] | None = None
        self._is_closed = False

    @property
    def queue_length(self) -> int:
        """Texts that wait for a batch."""
        return len(self._waiting)

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        """The vectors of one caller's texts, in order; cancelling takes them out of the queue.

        Raises:
            Overloaded: the queue is full.
            EmbeddingFailed: the model failed on the batch.
        """
        if self._is_closed:
            raise _stopping()
        if len(self._waiting) >= self._limits.waiting_queries:
            raise Overloaded(
                f"{len(self._waiting)} queries wait for the embedding model already; try again in a moment "
                "or raise models.waiting_queries."
            )
        loop = asyncio.get_running_loop()
        entries: list[tuple[str, asyncio.Future[Vector]]] = [(text, loop.create_future()) for text in texts]
        self._waiting.extend(entries)
        loop.call_soon(self._start)
        try:
            return await asyncio.gather(*(future for _, future in entries))
        finally:
            for entry in entries:
                if entry in self._waiting:
                    self._waiting.remove(entry)

    async def aclose(self) -> None:
        """Refuse what waits, let the running batch end."""
        self._is_closed = True
        while self._waiting:
            _settle(self._waiting.popleft()[1], _stopping())
        if self._running is not None:
            await asyncio.wait([self._running])
        self._thread.shutdown(wait=False)

    def _start(self) -> None:
        if self._running is not None or not self._waiting:
            return
        size = min(len(self._waiting), self._limits.batch_texts)
        batch = [self._waiting.popleft() for _ in range(size)]
        loop = asyncio.get_running_loop()
        self._running = loop.run_in_executor(self._thread, self._encode, [text for text, _ in batch])
        self._running.add_done_callback(lambda done: self._finish(batch, done))

    def _finish(self, batch: list[tuple[str, asyncio.Future[Vector]]], done: asyncio.Future[Matrix]) -> None:
        self._running = None
        if done.cancelled():  # the event loop is being torn down, and the waiting tasks with it
            return
        error = done.exception()
        for row, (_, future) in enumerate(batch):
            _settle(future, error or done.result()[row].copy())
        self._start()


def _settle(future: asyncio.Future[Vector], outcome: Vector | BaseException) -> None:
    if future.done():  # its caller left
        return
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


class LocalEmbedder:
    """A synchronous encoder as an `Embedder`."""

    def __init__(
        self,
        encoder: TextEncoder,
        limits: BatchingLimits | None = None,
        clock: Callable[[], float] = time.perf_counter,
        open_bulk_encoder: Callable[[], TextEncoder] | None = None,
    ) -> None:
        """Take over an encoder.

        `open_bulk_encoder` opens another one for passages, in their thread, at the first of them: the
        threads that it starts inherit that thread's low priority. None shares the encoder.
        """
        self._encoder = encoder
        self._open_bulk_encoder = open_bulk_encoder
        self._bulk_encoder: TextEncoder | None = None
        self._limits = limits or BatchingLimits()
        self._clock = clock
        self._queries = MicroBatcher(self._timed_encode, self._limits)
        # Passages give way: a query beside them waits for its share of the cores, not for theirs.
        self._bulk = ThreadPoolExecutor(self._limits.bulk_threads, "embed-passages", initializer=give_way)
        self._bulk_callers = 0
        self._is_closed = False
        self._counting = threading.Lock()
        self._done = EmbedderStatistics()

    @property
    def model_id(self) -> str:
        """The published name."""
        return self._encoder.card.model_id

    @property
    def revision(self) -> str:
        """The first digits of the weights' sha256."""
        return self._encoder.card.revision

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._encoder.card.dim

    @property
    def max_tokens(self) -> int:
        """The model's window, special tokens included."""
        return self._encoder.card.max_tokens

    @property
    def languages(self) -> frozenset[str]:
        """The languages that the model was trained on."""
        return frozenset(self._encoder.card.languages)

    @property
    def tokens(self) -> TokenCounter:
        """Counts as the model's tokenizer does."""
        return self._encoder.tokens

    @property
    def placement(self) -> Placement:
        """Where the model runs now."""
        return self._encoder.placement

    async def embed_query(self, text: str, deadline: Deadline) -> Vector:
        """The vector of one query; see `Embedder.embed_query`."""
        with self._span(1):
            return (await self._embed_now([text], deadline))[0]

    async def embed_queries(self, texts: Sequence[str], deadline: Deadline) -> Matrix:
        """The vectors of a few texts that one caller waits for; see `Embedder.embed_queries`."""
        with self._span(len(texts)):
            rows = await self._embed_now(texts, deadline)
        return np.array(rows, np.float32).reshape(len(texts), self.dim)

    async def _embed_now(self, texts: Sequence[str], deadline: Deadline) -> list[Vector]:
        deadline.check("the query was embedded")
        with anyio.move_on_after(deadline.remaining_s):
            return await self._queries.embed(texts)
        raise DeadlineExceeded(
            f"The {deadline.budget_s:g} s given to this request were used up while its query waited for the "
            "embedding model; give it more time or ask for less.",
            stage="embed_query",
        )

    async def embed_passages(self, texts: Sequence[str]) -> Matrix:
        """The vectors of many passages; see `Embedder.embed_passages`."""
        if self._bulk_callers >= self._limits.bulk_callers:
            raise Overloaded(f"{self._bulk_callers} callers embed passages already; try again in a moment.")
        if self._is_closed:
            raise _stopping()
        self._bulk_callers += 1
        try:
            with self._span(len(texts)):
                return await self._embed_slices(texts)
        finally:
            self._bulk_callers -= 1

    def statistics(self) -> EmbedderStatistics:
        """Counts since the embedder was opened."""
        waiting_slices = max(0, self._bulk_callers - self._limits.bulk_threads)
        return replace(
            self._done,
            queue_length=self._queries.queue_length + waiting_slices,
            fallbacks=self._encoder.placement.fallbacks,
        )

    async def aclose(self) -> None:
        """Refuse what waits, let what runs end."""
        self._is_closed = True
        await self._queries.aclose()
        # Slices still queued raise as soon as they begin, so this waits for the running one only.
        await asyncio.to_thread(self._bulk.shutdown)

    def _span(self, text_count: int) -> AbstractContextManager[Span | None]:
        return span(
            f"embeddings {self.model_id}",
            "internal",  # as the conventions say of a model in the same process
            {
                "gen_ai.operation.name": "embeddings",
                "gen_ai.provider.name": "ragstone",
                "gen_ai.request.model": self.model_id,
                "gen_ai.embeddings.dimension.count": self.dim,
                "ragstone.text_count": text_count,
            },
        )

    async def _embed_slices(self, texts: Sequence[str]) -> Matrix:
        rows = np.empty((len(texts), self.dim), np.float32)
        # Texts of like length share a slice. One slice at a time per caller: the thread's queue is first
        # come first served, so that a long document does not hold up a short one.
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        loop = asyncio.get_running_loop()
        for start in range(0, len(order), self._limits.batch_texts):
            part = order[start : start + self._limits.batch_texts]
            slice_of_texts = [texts[at] for at in part]
            rows[part] = await loop.run_in_executor(self._bulk, self._encode_slice, slice_of_texts)
        return rows

    def _encode_slice(self, texts: Sequence[str]) -> Matrix:
        if self._is_closed:
            raise _stopping()
        if self._bulk_encoder is None:
            self._bulk_encoder = self._open_bulk_encoder() if self._open_bulk_encoder else self._encoder
        return self._timed_encode(texts, self._bulk_encoder)

    def _timed_encode(self, texts: Sequence[str], encoder: TextEncoder | None = None) -> Matrix:
        start = self._clock()
        rows = (encoder or self._encoder).encode(texts)
        with self._counting:
            self._done = replace(
                self._done,
                batches=self._done.batches + 1,
                texts=self._done.texts + len(texts),
                busy_s=self._done.busy_s + self._clock() - start,
                batch_sizes=_counted(self._done.batch_sizes, len(texts)),
            )
        return rows


def _counted(batch_sizes: Sequence[int], size: int) -> tuple[int, ...]:
    place = bisect.bisect_left(BATCH_BUCKETS, size)
    return tuple(count + (at == place) for at, count in enumerate(batch_sizes))


def _stopping() -> Overloaded:
    return Overloaded("The embedding model is being closed; try again in a moment.")
