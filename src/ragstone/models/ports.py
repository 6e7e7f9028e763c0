"""What the rest of Ragstone may ask of a model."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from ragstone.deadline import Deadline
from ragstone.telemetry.families import BATCH_BUCKETS
from ragstone.types import Matrix, TokenCounter, Usage, Vector


@dataclass(frozen=True, slots=True)
class EmbedderStatistics:
    """What an embedder has done since it was opened."""

    batches: int = 0
    """Runs of the model."""
    texts: int = 0
    busy_s: float = 0.0
    """Seconds spent inside the model, summed over its threads."""
    queue_length: int = 0
    """Queries and passage slices that wait now; what is running does not count."""
    batch_sizes: tuple[int, ...] = (0,) * (len(BATCH_BUCKETS) + 1)
    """Runs by the number of their texts: up to each of `BATCH_BUCKETS`, then beyond."""
    fallbacks: int = 0
    """Times that a GPU failed and the processor took over."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where and how an embedder runs its model now."""

    device: Literal["cpu", "cuda", "none"]
    runtime: str
    """The library, such as "onnxruntime"."""
    provider: str
    """What of the library does the work, such as "CUDAExecutionProvider"."""
    precision: str
    threads: int = 0
    """For one run, on the processor; 0 when the library decides."""
    note: str = ""
    """Why it does not run where it might, in a sentence."""
    fallbacks: int = 0
    """Times that a GPU failed and the processor took over; `note` says why."""

    def __str__(self) -> str:
        place = "" if self.device == "cpu" else f" on {self.device.upper()}"
        return f"{self.runtime} {self.precision}{place}"


class Embedder(Protocol):
    """Turns text into unit vectors of one model.

    A text's vector does not depend on the texts that are embedded next to it (cosine >= 0.99999).
    Text beyond `max_tokens` does not reach the vector; an empty text has a vector like any other.
    """

    @property
    def model_id(self) -> str:
        """The published name, such as "all-MiniLM-L6-v2"."""
        ...

    @property
    def revision(self) -> str:
        """Which weights: changes whenever vectors would, so it belongs into every key."""
        ...

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    @property
    def max_tokens(self) -> int:
        """The model's window, special tokens included."""
        ...

    @property
    def languages(self) -> frozenset[str]:
        """ISO 639-1 codes of the languages that the model was trained on."""
        ...

    @property
    def tokens(self) -> TokenCounter:
        """Counts as this model's tokenizer does."""
        ...

    async def embed_query(self, text: str, deadline: Deadline) -> Vector:
        """The vector of one query, `(dim,)` float32, read-only when it comes from a cache.

        Cancelling drops a query that still waits.

        Raises:
            Overloaded: too many queries wait already.
            DeadlineExceeded: the request's time is used up.
            EmbeddingFailed: the model failed.
        """
        ...

    async def embed_queries(self, texts: Sequence[str], deadline: Deadline) -> Matrix:
        """`(len(texts), dim)` float32 unit rows of a few short texts that one caller waits for.

        They go with the queries, ahead of all passages; none is cached.

        Raises:
            Overloaded: too many queries wait already.
            DeadlineExceeded: the request's time is used up.
            EmbeddingFailed: the model failed.
        """
        ...

    async def embed_passages(self, texts: Sequence[str]) -> Matrix:
        """`(len(texts), dim)` float32 unit rows in the order of `texts`.

        Runs beside queries without holding them up. Cancelling ends after the slice that is running.

        Raises:
            Overloaded: too many bulk callers wait already.
            EmbeddingFailed: the model failed.
        """
        ...

    @property
    def placement(self) -> Placement:
        """Where the model runs now; changes when a GPU fails."""
        ...

    def statistics(self) -> EmbedderStatistics:
        """Counts since the embedder was opened."""
        ...

    async def aclose(self) -> None:
        """Refuse what waits, let what runs end, free the model."""
        ...


Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a prompt."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a generator reads: instructions, earlier turns, and what to answer now."""

    system: str
    user: str
    history: tuple[Message, ...] = ()

    @property
    def messages(self) -> tuple[Message, ...]:
        """The prompt as turns, oldest first; an empty `system` is left out."""
        instructions = (Message("system", self.system),) if self.system else ()
        return (*instructions, *self.history, Message("user", self.user))


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """How to generate; None leaves a choice to the server."""

    temperature: float | None = 0.0
    max_tokens: int | None = 1024
    model: str | None = None
    """Another model of the same server than the configured one."""


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of the generated text; never empty."""

    text: str


class Generator(Protocol):
    """Turns a prompt into text, piece by piece."""

    @property
    def model(self) -> str:
        """The configured model's name."""
        ...

    def stream(
        self, prompt: Prompt, options: GenerationOptions, deadline: Deadline
    ) -> AsyncGenerator[Delta | Usage, None]:
        """The answer as deltas, then usage when known.

        Close the iterator (`contextlib.aclosing`) or cancel the task to stop the generation at the server.

        Raises:
            DeadlineExceeded: no time was left to begin.
            GeneratorFailed: the server was unreachable, refused, fell silent or spoke garbage.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...
