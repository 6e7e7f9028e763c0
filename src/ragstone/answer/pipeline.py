"""search > pack > prompt > generate > cite > check, as one sequence of typed events."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog
from anyio import to_thread
from uuid6 import uuid7

from ragstone.answer.check import still_exact
from ragstone.answer.cite import MarkerFilter, cite
from ragstone.answer.draft import Draft, quoted, sentence_citation
from ragstone.answer.events import AnswerEvent, Checked, Cited, Delta, Failed, Finished, Retrieved, Started
from ragstone.answer.evidence import again, quotes_of, sentences_at
from ragstone.answer.pack import pack
from ragstone.answer.prompt import build_prompt
from ragstone.answer.quote import MOST_PASSAGES, QuotedSentence, candidate_sentences, choose
from ragstone.answer.record import Generated
from ragstone.deadline import Deadline
from ragstone.errors import DeadlineExceeded, DependencyFailed, GeneratorFailed, Overloaded, RagstoneError
from ragstone.index.analysis import Analysis
from ragstone.models.generator_chain import Chosen
from ragstone.models.ports import Delta as GeneratedDelta, GenerationOptions
from ragstone.search.understand import normalise_query
from ragstone.types import AnswerId, AnswerMode, AnswerRequest, Citation, Hit

if TYPE_CHECKING:
    from ragstone.answer.evidence import Evidence
    from ragstone.models.generator_chain import GeneratorChain
    from ragstone.models.ports import Embedder, Prompt
    from ragstone.search.cached import CachingSearch
    from ragstone.settings import Settings
    from ragstone.store.database import Database
    from ragstone.telemetry.stages import StageTimer

log = structlog.get_logger(__name__)

UNNUMBERED = 0
"""Events get their numbers in the order in which they leave."""
QUOTING_RESERVE_S = 2.0


class AnswerPipeline:
    """Answers questions; with a generator in its words, without one in the documents' own."""

    def __init__(
        self,
        database: Database,
        search: CachingSearch,
        embedder: Embedder,
        generator: GeneratorChain | None,
        settings: Settings,
        evidence: Evidence,
    ) -> None:
        self._database = database
        self._search = search
        self._embedder = embedder
        self._generator = generator
        self._settings = settings.answer
        self._generation = settings.generator
        self._embedding_s = settings.search.leg_timeout_s
        self._evidence = evidence
        self._analysis = Analysis("en")

    async def run(
        self, request: AnswerRequest, deadline: Deadline, timer: StageTimer
    ) -> AsyncGenerator[AnswerEvent, None]:
        """The events of one answer; `finished` or `failed` is the last one.

        A request that is wrong in itself raises before the first event. Close the generator to stop the work.

        Raises:
            InvalidRequest: the question is empty or too long.
            NotFound: a named collection does not exist.
        """
        async with contextlib.aclosing(self._unnumbered(request, deadline, timer)) as events:
            number = 0
            async for event in events:
                number += 1
                yield replace(event, seq=number)

    async def _unnumbered(
        self, request: AnswerRequest, deadline: Deadline, timer: StageTimer
    ) -> AsyncGenerator[AnswerEvent, None]:
        mode: AnswerMode = "extractive" if self._generator is None else "generated"
        draft = Draft(AnswerId(str(uuid7())), request, deadline, timer, mode)
        try:
            with timer.stage("retrieve"):
                draft.result = await self._search.run(request.search, deadline, timer)
            draft.degraded += draft.result.degraded
            yield Started(UNNUMBERED, draft.answer_id, mode)
            hits = draft.result.hits
            yield Retrieved(UNNUMBERED, hits, draft.result.corpus_version, draft.result.degraded)
            async with contextlib.aclosing(self._events(draft, hits)) as events:
                async for event in events:
                    yield event
            yield Finished(UNNUMBERED, draft.answer(draft.result))
        except RagstoneError as error:
            if draft.result is None:
                raise
            log.warning("answer_failed", answer_id=draft.answer_id, code=error.code)
            yield Failed(UNNUMBERED, error.code, error.message, error.retryable)

    async def _events(self, draft: Draft, hits: Sequence[Hit]) -> AsyncGenerator[AnswerEvent, None]:
        if self._generator is not None and hits:
            try:
                async with contextlib.aclosing(self._generate(draft, self._generator, hits)) as events:
                    async for event in events:
                        yield event
                return
            except (GeneratorFailed, DeadlineExceeded) as error:
                draft.deadline.check("quoting")
                draft.note_failure(error)
        restarts = draft.begin_quoting()
        async with contextlib.aclosing(self._quote(draft, hits, restarts=restarts)) as events:
            async for event in events:
                yield event

    async def _generate(
        self, draft: Draft, generator: GeneratorChain, hits: Sequence[Hit]
    ) -> AsyncGenerator[AnswerEvent, None]:
        passages = pack(hits, self._settings.context_tokens, self._embedder.tokens)
        prompt = build_prompt(draft.request.search.query, passages)
        draft.read_by(generator.model, passages)
        place = await self._evidence.of_prompt(draft, prompt, passages)
        found = await self._evidence.find(draft, place)
        began, deltas = time.perf_counter(), list[str]()
        with draft.timer.stage("generate"):
            texts = again(draft, found) if found else self._stream(draft, generator, prompt, len(passages))
            async with contextlib.aclosing(texts):
                async for text in texts:
                    draft.text += text
                    deltas.append(text)
                    yield Delta(UNNUMBERED, text)
        if not draft.text.strip():
            raise GeneratorFailed(f"The generator {generator.model!r} answered with no text.")
        if found is None:
            fresh = Generated(tuple(deltas), draft.usage, model=draft.model)
            self._evidence.keep(draft, place, fresh, time.perf_counter() - began)
        citations = cite(draft.text, found.passages if found else passages)
        async with contextlib.aclosing(self._check(draft, citations)) as events:
            async for event in events:
                yield event

    async def _stream(
        self, draft: Draft, generator: GeneratorChain, prompt: Prompt, passage_count: int
    ) -> AsyncGenerator[str, None]:
        """The generator's text, piece by piece, without markers that name no passage."""
        asked = draft.request.temperature
        options = GenerationOptions(
            temperature=self._generation.temperature if asked is None else asked,
            max_tokens=self._generation.max_tokens,
        )
        draft.timer.trail.temperature = options.temperature
        markers = MarkerFilter(passage_count)
        # What is kept back pays for quoting, should the generator use up all it gets.
        left_s = max(0.0, draft.deadline.remaining_s - QUOTING_RESERVE_S)
        limit = Deadline.after(min(self._generation.timeout_s, left_s))
        async with contextlib.aclosing(generator.stream(prompt, options, limit)) as stream:
            async for part in stream:
                if isinstance(part, Chosen):
                    draft.model = part.model
                    draft.degraded += part.degraded
                elif not isinstance(part, GeneratedDelta):
                    draft.usage = part
                elif text := markers.feed(part.text):
                    yield text
        if rest := markers.finish():
            yield rest

    async def _quote(
        self, draft: Draft, hits: Sequence[Hit], *, restarts: bool
    ) -> AsyncGenerator[AnswerEvent, None]:
        draft.timer.trail.passages = tuple(hits[:MOST_PASSAGES])
        place = await self._evidence.of_passages(draft, hits)
        found = await self._evidence.find(draft, place)
        began = time.perf_counter()
        with draft.timer.stage("quote"):
            chosen = sentences_at(found) if found else await self._choose(draft, hits)
        if found is None:
            fresh = Generated(quotes=quotes_of(chosen, hits))
            self._evidence.keep(draft, place, fresh, time.perf_counter() - began)
        citations = [sentence_citation(marker, sentence) for marker, sentence in enumerate(chosen, start=1)]
        checked = [event async for event in self._check(draft, citations)]
        draft.text = quoted(draft.citations)
        yield Delta(UNNUMBERED, draft.text, restarts)
        for event in checked:
            yield event

    async def _choose(self, draft: Draft, hits: Sequence[Hit]) -> list[QuotedSentence]:
        question = normalise_query(draft.request.search.query, len(draft.request.search.query))
        candidates = await to_thread.run_sync(candidate_sentences, question, hits, self._analysis)
        query, matrix = None, None
        if candidates.sentences:
            try:
                limit = Deadline.after(draft.deadline.at_most(self._embedding_s))
                query = await self._embedder.embed_query(question, limit)
                texts = [sentence.text for sentence in candidates.sentences]
                matrix = await self._embedder.embed_queries(texts, limit)
            except (DependencyFailed, DeadlineExceeded, Overloaded) as error:
                draft.deadline.check("quoting")
                log.warning("quote_without_embeddings", answer_id=draft.answer_id, code=error.code)
                draft.degraded.append("quote:lexical_only")
        return choose(candidates, query, matrix, self._settings.max_quotes, self._settings.max_quote_chars)

    async def _check(self, draft: Draft, citations: list[Citation]) -> AsyncGenerator[AnswerEvent, None]:
        with draft.timer.stage("check"):
            principal = draft.request.search.principal
            draft.citations = await still_exact(self._database, principal, citations)
            draft.timer.trail.check(citations, draft.citations)
        if len(draft.citations) < len(citations):
            draft.degraded.append("citation:changed")
        for found in draft.citations:
            yield Cited(UNNUMBERED, found)
        yield Checked(UNNUMBERED, len(citations), len(draft.citations))
