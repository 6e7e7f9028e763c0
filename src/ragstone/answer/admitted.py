"""Answering with a bound on how many answers are in the making; what the caches answer does not count."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ragstone.answer.events import AnswerEvent
    from ragstone.answer.pipeline import AnswerPipeline
    from ragstone.deadline import Deadline
    from ragstone.resilience.limiter import Limiter
    from ragstone.telemetry.stages import StageTimer
    from ragstone.types import AnswerRequest


class AdmittedAnswers:
    """An answer pipeline with a number of places; whoever finds none is refused before the first event."""

    def __init__(self, pipeline: AnswerPipeline, places: Limiter) -> None:
        self._pipeline = pipeline
        self._places = places

    async def run(
        self, request: AnswerRequest, deadline: Deadline, timer: StageTimer
    ) -> AsyncGenerator[AnswerEvent, None]:
        """As `AnswerPipeline.run`; the place is held until the last event.

        Raises:
            Overloaded: every place is taken.
        """
        with self._places.place():
            async with aclosing(self._pipeline.run(request, deadline, timer)) as events:
                async for event in events:
                    yield event
