"""The semantic cache below the doors: whose answers it shares, and with whom never."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.asking import answers_over
from tests.support.corpus import Parts, document, open_parts

from ragstone.answer.cached import CachingAnswers
from ragstone.answer.events import Finished
from ragstone.cache.cache import Cache, limits_of
from ragstone.deadline import Deadline
from ragstone.models.fakes import HashEmbedder, ScriptedGenerator
from ragstone.settings import CacheSettings, Settings
from ragstone.telemetry.stages import StageTimer
from ragstone.types import Answer, AnswerRequest, Principal, SearchRequest, TenantId

pytestmark = pytest.mark.anyio
ON = CacheSettings(semantic=True, semantic_threshold=0.5)
TEXT = "The heron waits by the river. It eats fish."
QUESTION, REWORDED = "What does the heron eat in 1990?", "In 1990, what does heron eat"


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    """Open parts with nothing in them."""
    async with open_parts(tmp_path) as parts:
        yield parts


def answers(
    parts: Parts, settings: CacheSettings = ON, generator: ScriptedGenerator | None = None
) -> CachingAnswers:
    """Answers with caches of their own."""
    cache = Cache(limits_of(settings))
    return answers_over(parts, generator, HashEmbedder(), cache, Settings(cache=settings))[1]


async def ask(answering: CachingAnswers, question: str, **fields: object) -> Answer:
    """The whole answer."""
    search = replace(SearchRequest(question, ("books",)), **fields)  # type: ignore[arg-type]
    timer = StageTimer("answer", lambda *_: None)
    events = [event async for event in answering.run(AnswerRequest(search), Deadline.never(), timer)]
    finished = events[-1]
    assert isinstance(finished, Finished)
    return finished.answer


async def test_another_tenant_is_never_served(parts: Parts) -> None:
    """Not with the same collection name, the same text and the same question."""
    for name in ("a", "b"):
        await parts.put(
            await parts.create("books", TenantId(name)),
            document(TEXT, tenant_id=TenantId(name), chunk_chars=99),
        )
    answering = answers(parts)
    await ask(answering, QUESTION, principal=Principal(TenantId("a")))

    assert (await ask(answering, REWORDED, principal=Principal(TenantId("b")))).cache == "miss"
    assert (await ask(answering, REWORDED, principal=Principal(TenantId("a")))).cache == "semantic"


async def test_another_group_is_never_served(parts: Parts) -> None:
    """Readers share answers only when they may read the very same."""
    await parts.put(await parts.create("books"), document(TEXT, chunk_chars=99))
    answering = answers(parts)
    await ask(answering, QUESTION, principal=Principal(access_groups=frozenset({"a"})))

    served = await ask(answering, REWORDED, principal=Principal(access_groups=frozenset({"b"})))

    assert served.cache == "miss"


async def test_a_collection_in_another_language_is_left_alone(parts: Parts) -> None:
    """The rules know English."""
    await parts.put(await parts.create("books", language="de"), document(TEXT, chunk_chars=99))
    answering = answers(parts)
    await ask(answering, QUESTION)

    assert (await ask(answering, REWORDED)).cache == "miss"


async def test_a_far_wording_is_not_served(parts: Parts) -> None:
    """Agreeing words are not enough below the threshold."""
    await parts.put(await parts.create("books"), document(TEXT, chunk_chars=99))
    answering = answers(parts, CacheSettings(semantic=True, semantic_threshold=0.999))
    await ask(answering, QUESTION)

    assert (await ask(answering, f"Can you tell me {QUESTION}")).cache == "miss"


async def test_markers_lead_to_the_passages_they_had(parts: Parts) -> None:
    """When the search ranks the same passages otherwise, [1] still cites what the generator saw as [1]."""
    books = await parts.create("books")
    # Words without stop words find the first one, the fake embedding, which counts all words, the second.
    fish, frogs = "Fish of herons: 1990, 1990, 1990.", "What do the herons eat? In ponds they eat frogs."
    await parts.put(books, document(fish, document_id="fish", chunk_chars=99))
    await parts.put(books, document(frogs, document_id="frogs", chunk_chars=99))
    generator = ScriptedGenerator(["Fish and frogs [1][2]."])
    answering = answers(parts, generator=generator)
    first = await ask(answering, "What do herons eat in 1990?", mode="lexical")

    second = await ask(answering, "In 1990, what do the herons eat", mode="dense")

    assert second.cache == "semantic"
    assert [hit.document_id for hit in second.hits] != [hit.document_id for hit in first.hits]
    assert [(c.marker, c.document_id, c.quote) for c in second.citations] == [
        (c.marker, c.document_id, c.quote) for c in first.citations
    ]
    assert len(generator.prompts) == 1


async def test_an_answer_that_cites_nothing_is_not_shared(parts: Parts) -> None:
    """A refusal says nothing about another wording."""
    await parts.put(await parts.create("books"), document(TEXT, chunk_chars=99))
    generator = ScriptedGenerator(["The passages do not answer this."])
    answering = answers(parts, generator=generator)
    await ask(answering, QUESTION)

    assert (await ask(answering, REWORDED)).cache == "miss"
    assert len(generator.prompts) == 2


async def test_it_forgets_with_the_generations(parts: Parts) -> None:
    """A cleared generation is not served under another wording."""
    await parts.put(await parts.create("books"), document(TEXT, chunk_chars=99))
    cache = Cache(limits_of(ON))
    answering = answers_over(parts, None, HashEmbedder(), cache, Settings(cache=ON))[1]
    await ask(answering, QUESTION)

    await cache.clear("generation:*")

    assert (await ask(answering, REWORDED)).cache == "miss"
