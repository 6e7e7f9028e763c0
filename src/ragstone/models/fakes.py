"""Deterministic models for tests: no weights, no network."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import numpy as np

from ragstone.deadline import Deadline
from ragstone.errors import EmbeddingFailed, GeneratorFailed, NotReady
from ragstone.models.encoder import Graph
from ragstone.models.onnx_encoder import OnnxGraph
from ragstone.models.ports import Delta, EmbedderStatistics, GenerationOptions, Placement, Prompt
from ragstone.models.text_batches import Ids
from ragstone.types import Matrix, TokenCounter, Usage, Vector

WORD = re.compile(r"\w+")
PASSAGE = re.compile(r"<passage>\n\[(\d+)\][^\n]*\n(.*?)\n</passage>", re.DOTALL)
"""A passage's number and text, as `answer.prompt` frames it."""


class WordCounter:
    """Counts words as tokens."""

    def count(self, text: str) -> int:
        """How many words `text` is."""
        return len(WORD.findall(text))


class HashEmbedder:
    """A bag of hashed words as a unit vector: texts that share words are near each other.

    `is_failing` makes every call raise. While `gate` is set to an unset event, calls wait for it.
    """

    model_id = "hash"
    languages = frozenset({"en"})
    max_tokens = 256

    def __init__(self, dim: int = 64, revision: str = "1") -> None:
        self.dim = dim
        self.revision = revision
        self.tokens: TokenCounter = WordCounter()
        self.is_failing = False
        self.gate: asyncio.Event | None = None
        self.is_closed = False
        self._runs: list[int] = []

    async def embed_query(self, text: str, deadline: Deadline) -> Vector:
        """The vector of one query."""
        deadline.check("the query was embedded")
        vector: Vector = (await self.embed_passages([text]))[0]
        return vector

    async def embed_queries(self, texts: Sequence[str], deadline: Deadline) -> Matrix:
        """`(len(texts), dim)` float32 unit rows."""
        deadline.check("the texts were embedded")
        return await self.embed_passages(texts)

    async def embed_passages(self, texts: Sequence[str]) -> Matrix:
        """`(len(texts), dim)` float32 unit rows."""
        if self.gate is not None:
            await self.gate.wait()
        if self.is_failing:
            raise EmbeddingFailed("The hash embedder was told to fail.")
        self._runs.append(len(texts))
        return np.array([self._embed(text) for text in texts], np.float32).reshape(len(texts), self.dim)

    @property
    def placement(self) -> Placement:
        """Python itself."""
        return Placement("cpu", "python", "hashes", "float32")

    def statistics(self) -> EmbedderStatistics:
        """Counts since it was made."""
        return EmbedderStatistics(batches=len(self._runs), texts=sum(self._runs))

    async def aclose(self) -> None:
        """Note that it was closed."""
        self.is_closed = True

    def _embed(self, text: str) -> Vector:
        vector = np.zeros(self.dim, np.float32)
        for word in WORD.findall(text.lower()) or [""]:
            digest = hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest()
            position = int.from_bytes(digest, "little")
            vector[position % self.dim] += 1.0
        return vector / np.float32(np.linalg.norm(vector))


class ScriptedGenerator:
    """Says the scripted pieces, one script per call; the last script repeats.

    A piece that is an exception is raised in its place. `prompts` keeps what was asked.
    While `gate` is set to an unset event, every piece waits for it.
    """

    def __init__(self, *scripts: Sequence[str | Exception], model: str = "scripted") -> None:
        self.model = model
        self.prompts: list[Prompt] = []
        self.gate: asyncio.Event | None = None
        self.stopped = 0
        """Generations that were closed or cancelled before their end."""
        self.is_closed = False
        self._scripts = scripts or (("An answer.",),)

    @classmethod
    def failing(cls, message: str = "The scripted generator was told to fail.") -> ScriptedGenerator:
        """One that raises `GeneratorFailed` before the first piece."""
        return cls([GeneratorFailed(message)])

    async def stream(
        self,
        prompt: Prompt,
        options: GenerationOptions,  # noqa: ARG002 - of the port
        deadline: Deadline,
    ) -> AsyncGenerator[Delta | Usage, None]:
        """The next script as deltas, then a usage that counts words."""
        deadline.check("the answer was generated")
        script = self._scripts[min(len(self.prompts), len(self._scripts) - 1)]
        self.prompts.append(prompt)
        is_whole = False
        try:
            for piece in script:
                if self.gate is not None:
                    await self.gate.wait()
                if isinstance(piece, Exception):
                    is_whole = True
                    raise piece
                yield Delta(piece)
            is_whole = True
        finally:
            self.stopped += not is_whole
        words = WordCounter().count
        spoken = "".join(piece for piece in script if isinstance(piece, str))
        yield Usage(sum(words(message.content) for message in prompt.messages), words(spoken))

    async def aclose(self) -> None:
        """Note that it was closed."""
        self.is_closed = True


class QuotingGenerator:
    """Repeats the first sentence of every passage of its prompt, cited, after a name that no other text has.

    The names are `{label}1`, `{label}2` and so on. Between its pieces others have their turn.
    """

    def __init__(self, label: str = "text", model: str = "quoting") -> None:
        self.model = model
        self.count = 0
        """Texts begun."""
        self._label = label

    async def stream(
        self,
        prompt: Prompt,
        options: GenerationOptions,  # noqa: ARG002 - of the port
        deadline: Deadline,
    ) -> AsyncGenerator[Delta | Usage, None]:
        """The name, then each passage's sentence with its marker, then a usage that counts words."""
        deadline.check("the answer was generated")
        self.count += 1
        pieces = [f"{self._label}{self.count}:"]
        for number, text in PASSAGE.findall(prompt.user):
            pieces.append(f" {text.strip().partition('.')[0]} [{number}].")
        for piece in pieces:
            await asyncio.sleep(0)
            yield Delta(piece)
        words = WordCounter().count
        yield Usage(sum(words(message.content) for message in prompt.messages), words("".join(pieces)))

    async def aclose(self) -> None:
        """Nothing is held."""


class PretendedGpu:
    """A GPU for tests: the processor's vectors under another name, until it is told to fail.

    `tilt` turns its vectors away from the processor's.
    """

    def __init__(self, *, tilt: float = 0.0, is_broken: bool = False) -> None:
        self.is_failing = False
        """Every run raises."""
        self.is_silent_nonsense = False
        """Every run answers with no numbers."""
        self.runs = 0
        self.opened = 0
        self._tilt = tilt
        self._is_broken = is_broken

    def is_there(self) -> bool:
        """Always."""
        return True

    def open(self, folder: Path, threads: int) -> Graph:
        """The model, on the processor.

        Raises:
            NotReady: it was made broken.
        """
        if self._is_broken:
            raise NotReady("The pretended GPU was made broken.")
        self.opened += 1
        return _PretendedGraph(self, OnnxGraph(folder, threads))

    def run(self, graph: Graph, ids: Ids, mask: Ids) -> Matrix:
        """Run, or fail as told."""
        self.runs += 1
        if self.is_failing:
            raise EmbeddingFailed("The pretended GPU is out of memory.")
        rows = graph.run(ids, mask)
        if self.is_silent_nonsense:
            return np.full_like(rows, np.nan)
        if self._tilt:
            rows[:, 0] += self._tilt
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows


class _PretendedGraph:
    placement = Placement("cuda", "onnxruntime", "PretendedExecutionProvider", "float32")

    def __init__(self, gpu: PretendedGpu, graph: Graph) -> None:
        self._gpu = gpu
        self._graph = graph

    def run(self, ids: Ids, mask: Ids) -> Matrix:
        return self._gpu.run(self._graph, ids, mask)
