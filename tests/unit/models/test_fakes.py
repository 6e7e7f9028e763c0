"""The shipped fakes keep the ports' promises."""

from __future__ import annotations

import contextlib

import pytest

from ragstone.deadline import Deadline
from ragstone.errors import EmbeddingFailed, GeneratorFailed
from ragstone.models.fakes import HashEmbedder, ScriptedGenerator
from ragstone.models.ports import Delta, Embedder, GenerationOptions, Generator, Prompt
from ragstone.types import Usage

pytestmark = pytest.mark.anyio
PROMPT = Prompt("", "two words")
OPTIONS = GenerationOptions()


async def say(generator: Generator) -> list[Delta | Usage]:
    """Everything that one generation yields."""
    return [part async for part in generator.stream(PROMPT, OPTIONS, Deadline.never())]


async def test_texts_that_share_words_are_near() -> None:
    """Cosine follows the share of common words."""
    embedder: Embedder = HashEmbedder(dim=512)

    rows = await embedder.embed_passages(["red stone wall", "red stone tower", "quiet blue lake"])

    assert rows[0] @ rows[1] > rows[0] @ rows[2]


async def test_a_failing_embedder_recovers() -> None:
    """The switch works both ways."""
    embedder = HashEmbedder()
    embedder.is_failing = True
    with pytest.raises(EmbeddingFailed):
        await embedder.embed_passages(["a"])

    embedder.is_failing = False

    assert (await embedder.embed_passages(["a"])).shape == (1, 64)


async def test_scripts_follow_one_another_and_the_last_repeats() -> None:
    """One script per call; usage counts words."""
    generator = ScriptedGenerator(["one ", "two"], ["three"])

    answers = [await say(generator) for _ in range(3)]

    assert answers[0] == [Delta("one "), Delta("two"), Usage(2, 2)]
    assert answers[1] == answers[2] == [Delta("three"), Usage(2, 1)]
    assert generator.prompts == [PROMPT] * 3


async def test_a_scripted_failure_comes_where_it_was_put() -> None:
    """Pieces before it are yielded."""
    generator = ScriptedGenerator(["half", GeneratorFailed("broke off")])
    parts = generator.stream(PROMPT, OPTIONS, Deadline.never())

    assert await anext(parts) == Delta("half")
    with pytest.raises(GeneratorFailed, match="broke off"):
        await anext(parts)
    assert generator.stopped == 0


async def test_a_closed_generation_is_counted() -> None:
    """Tests of cancellation read it here."""
    generator = ScriptedGenerator(["one", "two"])

    async with contextlib.aclosing(generator.stream(PROMPT, OPTIONS, Deadline.never())) as parts:
        await anext(parts)

    assert generator.stopped == 1
