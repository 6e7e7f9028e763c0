"""Answering questions, whole or as a stream of events."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import TYPE_CHECKING

from uuid6 import uuid7

from ragstone.analytics.asked import Asked
from ragstone.analytics.asking import Asking
from ragstone.answer.cached import CachingAnswers
from ragstone.answer.events import AnswerEvent, Checked, Failed, Finished, Started
from ragstone.cache.rendered import Rendered
from ragstone.deadline import Deadline
from ragstone.errors import DependencyFailed, RagstoneError, error_of
from ragstone.settings import AnswerSettings
from ragstone.telemetry.stages import StageTimer
from ragstone.types import AnswerId

if TYPE_CHECKING:
    from ragstone.cache.cache import Cache
    from ragstone.resilience.limiter import Limiter
    from ragstone.service.recording import Recorder
    from ragstone.telemetry.metrics import Metrics
    from ragstone.telemetry.trail import Trail
    from ragstone.types import Answer, AnswerRequest


class AnswerService:
    """Answers questions with citations."""

    def __init__(
        self,
        pipeline: CachingAnswers,
        settings: AnswerSettings,
        metrics: Metrics,
        cache: Cache,
        recorder: Recorder,
        places: Limiter,
    ) -> None:
        self._pipeline = pipeline
        self._settings = settings
        self._metrics = metrics
        self._cache = cache
        self._recorder = recorder
        self._places = places

    async def stream(
        self, request: AnswerRequest, deadline: Deadline | None = None, *, is_tracked: bool = True
    ) -> AsyncGenerator[AnswerEvent, None]:
        """The events of one answer; close the generator to stop the work. It is counted when it is whole.

        Raises:
            InvalidRequest: the question is empty or too long.
            NotFound: a named collection does not exist.
        """
        timer = StageTimer("answer", self._metrics.observe_stage)
        limit = deadline or Deadline.after(self._settings.timeout_s)
        asking = Asking("ask", request.search, request.temperature)
        answer_id = AnswerId(str(uuid7()))
        with self._recorder.answering(is_tracked=is_tracked):
            try:
                async with contextlib.aclosing(self._pipeline.run(request, limit, timer)) as events:
                    async for event in events:
                        shown = self._shown(event, request)
                        if isinstance(shown, Started):
                            answer_id = shown.answer_id
                        if is_tracked:
                            self._record(asking, shown, timer, answer_id)
                        yield shown
            except RagstoneError as error:
                if is_tracked:
                    self._recorder.record(_failed(asking, error.code, timer, answer_id, error))
                raise

    async def ask(
        self, request: AnswerRequest, deadline: Deadline | None = None, *, is_tracked: bool = True
    ) -> Answer:
        """The whole answer.

        Raises:
            InvalidRequest: the question is empty or too long.
            NotFound: a named collection does not exist.
            DependencyFailed: the answer could not be made.
        """
        async with contextlib.aclosing(self.stream(request, deadline, is_tracked=is_tracked)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    return event.answer
                if isinstance(event, Failed):
                    raise error_of(event.code, event.message)
        raise DependencyFailed("The answer ended without a result.")

    def check_room(self) -> None:
        """Go on only when another request could be worked on now: a cheap look before a costly reading.

        Raises:
            Overloaded: every place is taken.
        """
        self._places.check()

    async def find_rendered(self, request: AnswerRequest, form: str) -> Rendered | None:
        """The kept response to a repeated request in one form; None when there is none.

        Raises:
            InvalidRequest: the question is empty or too long.
            NotFound: a named collection does not exist.
        """
        timer = StageTimer("answer", self._metrics.observe_stage)
        with timer.stage("cache"):
            found = await self._pipeline.find_rendered(request, form)
        if found is None:
            return None
        rendered = Rendered(found.body, timer.timings_ms(), AnswerId(str(uuid7())))
        asking = Asking("ask", request.search, request.temperature)
        timer.trail.decide("rendered", "hit")
        timer.trail.repeats = found.answer_id
        self._recorder.record(
            Asked(
                asking,
                rendered.timings_ms,
                found.hit_count,
                cache="hit",
                answer_id=rendered.answer_id,
                trail=timer.trail,
            )
        )
        return rendered

    async def keep_rendered(self, request: AnswerRequest, form: str, answer: Answer, body: bytes) -> None:
        """Keep a response for the next equal request."""
        await self._pipeline.keep_rendered(request, form, answer, body)

    def _shown(self, event: AnswerEvent, request: AnswerRequest) -> AnswerEvent:
        if isinstance(event, Checked):
            self._metrics.citations.labels("exact").inc(event.exact_count)
            self._metrics.citations.labels("changed").inc(event.citation_count - event.exact_count)
        if isinstance(event, Finished):
            return replace(event, answer=self._noted(event.answer, request))
        return event

    def _record(self, asking: Asking, event: AnswerEvent, timer: StageTimer, answer_id: AnswerId) -> None:
        """Note the request by its last event."""
        if isinstance(event, Finished):
            self._recorder.record(_asked(asking, event.answer, timer.trail))
        elif isinstance(event, Failed):
            self._recorder.record(_failed(asking, event.code, timer, answer_id))

    def _noted(self, answer: Answer, request: AnswerRequest) -> Answer:
        """The answer with what of the caches was missing while it was made."""
        missing = self._cache.degraded() if request.search.use_cache else ()
        return replace(answer, degraded=(*answer.degraded, *missing)) if missing else answer


def _failed(
    asking: Asking, code: str, timer: StageTimer, answer_id: AnswerId, error: RagstoneError | None = None
) -> Asked:
    """A request without an answer; its trace is found all the same."""
    spent = timer.timings_ms()
    return Asked(asking, spent, error_code=code, error=error, answer_id=answer_id, trail=timer.trail)


def _asked(asking: Asking, answer: Answer, trail: Trail) -> Asked:
    return Asked(
        asking,
        answer.timings_ms,
        len(answer.hits),
        answer.hits,
        cache=answer.cache,
        degraded=answer.degraded,
        corpus_version=answer.corpus_version,
        answer_id=answer.answer_id,
        mode=answer.mode,
        citations=answer.citations,
        usage=answer.usage,
        model=answer.model,
        trail=trail,
    )
