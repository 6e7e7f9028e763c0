"""Answering questions, whole or as a stream of events."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from ragstone.analytics.asking import Asking
from ragstone.answer.events import AnswerEvent, Failed, Finished
from ragstone.answer.pipeline import AnswerPipeline
from ragstone.deadline import Deadline
from ragstone.errors import DependencyFailed, error_of
from ragstone.settings import AnswerSettings
from ragstone.telemetry.stages import StageTimer

if TYPE_CHECKING:
    from ragstone.service.recording import Recorder
    from ragstone.telemetry.metrics import Metrics
    from ragstone.types import Answer, AnswerRequest


class AnswerService:
    """Answers questions with citations."""

    def __init__(
        self, pipeline: AnswerPipeline, settings: AnswerSettings, metrics: Metrics, recorder: Recorder
    ) -> None:
        self._pipeline = pipeline
        self._settings = settings
        self._metrics = metrics
        self._recorder = recorder

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
        with self._recorder.answering(is_tracked=is_tracked):
            async with contextlib.aclosing(self._pipeline.run(request, limit, timer)) as events:
                async for event in events:
                    if isinstance(event, Finished):
                        self._count(event.answer)
                        if is_tracked:
                            asking = Asking("ask", request.search, request.temperature)
                            self._recorder.record(asking, len(event.answer.hits))
                    yield event

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

    def _count(self, answer: Answer) -> None:
        self._metrics.corpus_version.set(answer.corpus_version)
        for part in answer.degraded:
            self._metrics.degraded.labels(part).inc()
        if answer.usage is not None:
            self._metrics.generated_tokens.labels("prompt").inc(answer.usage.prompt_tokens)
            self._metrics.generated_tokens.labels("completion").inc(answer.usage.completion_tokens)
