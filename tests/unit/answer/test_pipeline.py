"""The sequence of answer events, with generators that do as they should and others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest
from tests.support.asking import answers_over
from tests.support.corpus import Parts, document, open_parts

from ragstone.answer.events import AnswerEvent, Cited, Delta, Failed, Finished, Retrieved
from ragstone.answer.pipeline import AnswerPipeline
from ragstone.deadline import Deadline
from ragstone.errors import CollectionNotFound, DeadlineExceeded, GeneratorFailed, InvalidRequest
from ragstone.models.fakes import HashEmbedder, ScriptedGenerator
from ragstone.store.documents import remove_document
from ragstone.store.listing import Listing, list_documents
from ragstone.telemetry.stages import StageTimer
from ragstone.types import DEFAULT_TENANT, LOCAL_OWNER, Answer, AnswerRequest, SearchRequest

pytestmark = pytest.mark.anyio
TEXT = "The heron waits by the river. It eats fish."
QUESTION = AnswerRequest(SearchRequest("Who waits by the river?", ("books",)))


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    """A collection with one document."""
    async with open_parts(tmp_path) as parts:
        await parts.put(await parts.create("books"), document(TEXT, document_id="d", chunk_chars=1000))
        yield parts


def pipeline(
    parts: Parts, generator: ScriptedGenerator | None = None, embedder: HashEmbedder | None = None
) -> AnswerPipeline:
    """Answers over the parts; extractive without a generator."""
    return answers_over(parts, generator, embedder)[0]


async def test_a_generated_answer_streams_and_cites(parts: Parts) -> None:
    """Deltas as they come, then exact citations, then the whole with its usage."""
    generator = ScriptedGenerator(["The heron ", "waits [", "1].", " Foxes [7] too."])

    events = await run(pipeline(parts, generator))

    answer = finished(events)
    assert names(events) == [
        "started",
        "retrieved",
        *["delta"] * names(events).count("delta"),
        "cited",
        "checked",
        "finished",
    ]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert text_of(events) == answer.text == "The heron waits [1]. Foxes  too."
    assert [citation.quote for citation in answer.citations] == ["The heron waits by the river."]
    assert answer.mode == "generated"
    assert answer.usage is not None
    assert "[1] A title" in generator.prompts[0].user


async def test_a_generator_that_breaks_off_is_replaced_by_quotes(parts: Parts) -> None:
    """What it said is void, the first delta after it says so, and the answer is marked degraded."""
    generator = ScriptedGenerator(["Half an ans", GeneratorFailed("broke off")])

    events = await run(pipeline(parts, generator))

    answer = finished(events)
    restarts = [event.restarts for event in events if isinstance(event, Delta)]
    assert restarts == [False, True]
    assert text_of(events) == answer.text
    assert (answer.mode, answer.degraded, answer.usage) == ("extractive", ("generator:failed",), None)
    assert "heron" in answer.text


@pytest.mark.parametrize("script", [[], ["  ", "\n"], ["[9]"], [GeneratorFailed("at once")]])
async def test_a_generator_without_words_is_replaced_by_quotes(
    parts: Parts, script: Sequence[str | Exception]
) -> None:
    """No text, only white space, only a marker of nothing, or a failure at once."""
    answer = finished(await run(pipeline(parts, ScriptedGenerator(script))))

    assert (answer.mode, answer.degraded) == ("extractive", ("generator:failed",))
    assert answer.citations


async def test_without_a_generator_sentences_are_quoted(parts: Parts) -> None:
    """Each quote stands in the answer with its marker and resolves in the document."""
    answer = finished(await run(pipeline(parts)))

    assert answer.mode == "extractive"
    assert answer.degraded == ()
    for citation in answer.citations:
        assert citation.span.of(TEXT) == citation.quote
        assert f"“{citation.quote}” [{citation.marker}]" in answer.text


async def test_a_dead_embedder_leaves_answers_by_words(parts: Parts) -> None:
    """The dense leg and the dense view of sentences are named as missing; the quote is there."""
    embedder = HashEmbedder()
    embedder.is_failing = True

    answer = finished(await run(pipeline(parts, embedder=embedder)))

    assert answer.degraded == ("dense:failed", "quote:lexical_only")
    assert "heron waits" in answer.text


async def test_no_evidence_needs_no_generator(parts: Parts) -> None:
    """Without a passage nothing is generated, whatever the generator would say."""
    await parts.create("empty")
    generator = ScriptedGenerator(["I happen to know."])

    answer = finished(await run(pipeline(parts, generator), AnswerRequest(SearchRequest("Who?", ("empty",)))))

    assert generator.prompts == []
    assert answer.citations == ()
    assert answer.text == "No passage in the searched collections answers this."


async def test_a_citation_that_no_longer_holds_is_dropped(parts: Parts) -> None:
    """A document that goes while the answer is made is not quoted, and the answer says so."""
    generator = ScriptedGenerator(["The heron [1]."])
    kept: list[AnswerEvent] = []
    async with aclosing(
        pipeline(parts, generator).run(QUESTION, Deadline.never(), StageTimer("answer"))
    ) as events:
        async for event in events:
            kept.append(event)
            if isinstance(event, Retrieved):
                await remove_all(parts)

    answer = finished(kept)
    assert answer.citations == ()
    assert answer.degraded == ("citation:changed",)
    assert not any(isinstance(event, Cited) for event in kept)


async def test_a_question_that_is_wrong_in_itself_raises_before_any_event(parts: Parts) -> None:
    """Empty, too long, or of a collection that does not exist."""
    for request, error in (
        (SearchRequest(" ", ("books",)), InvalidRequest),
        (SearchRequest("x" * 1001, ("books",)), InvalidRequest),
        (SearchRequest("Who?", ("nowhere",)), CollectionNotFound),
    ):
        with pytest.raises(error):
            await run(pipeline(parts), AnswerRequest(request))


async def test_no_time_left_is_told_before_the_search(parts: Parts) -> None:
    """A deadline that is over raises; nothing is generated."""
    generator = ScriptedGenerator()

    with pytest.raises(DeadlineExceeded):
        await run(pipeline(parts, generator), deadline=Deadline(0.0, 1.0, clock=lambda: 5.0))

    assert generator.prompts == []


async def test_time_that_runs_out_after_the_search_is_the_last_event(parts: Parts) -> None:
    """The answer fails with a code; what was retrieved had been told."""
    now = 0.0
    deadline = Deadline(1.0, 1.0, clock=lambda: now)
    kept: list[AnswerEvent] = []

    answers = pipeline(parts, ScriptedGenerator())
    async with aclosing(answers.run(QUESTION, deadline, StageTimer("answer"))) as events:
        async for event in events:
            kept.append(event)
            now = 2.0 if isinstance(event, Retrieved) else now

    assert names(kept) == ["started", "retrieved", "failed"]
    last = kept[-1]
    assert isinstance(last, Failed)
    assert (last.code, last.retryable) == ("deadline_exceeded", True)


async def test_leaving_in_the_middle_stops_the_generator(parts: Parts) -> None:
    """Closing the sequence closes the stream of the generator."""
    generator = ScriptedGenerator(["one ", "two ", "three "])

    async with aclosing(
        pipeline(parts, generator).run(QUESTION, Deadline.never(), StageTimer("answer"))
    ) as events:
        async for event in events:
            if isinstance(event, Delta):
                break

    assert generator.stopped == 1


async def run(
    answers: AnswerPipeline, request: AnswerRequest = QUESTION, deadline: Deadline | None = None
) -> list[AnswerEvent]:
    """All events of one answer."""
    limit = deadline or Deadline.never()
    return [event async for event in answers.run(request, limit, StageTimer("answer"))]


async def remove_all(parts: Parts) -> None:
    """Remove every document."""
    async with parts.writer.change() as change:
        found = await list_documents(change.connection, LOCAL_OWNER, Listing(limit=100))
        collections = parts.follower.collections_of(DEFAULT_TENANT)
        for held, _ in found:
            await remove_document(change.connection, held.key)
            change.touch(collections[held.collection].id, [held.key])


def finished(events: Sequence[AnswerEvent]) -> Answer:
    """The whole answer, which comes last."""
    last = events[-1]
    assert isinstance(last, Finished), last
    return last.answer


def names(events: Sequence[AnswerEvent]) -> list[str]:
    """What happened, in order."""
    return [event.name for event in events]


def text_of(events: Sequence[AnswerEvent]) -> str:
    """The text that a reader of the stream ends up with."""
    text = ""
    for event in events:
        if isinstance(event, Delta):
            text = event.text if event.restarts else text + event.text
    return text
