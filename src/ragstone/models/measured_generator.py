"""A generator whose calls are counted and timed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from ragstone.errors import RagstoneError
from ragstone.types import Usage

if TYPE_CHECKING:
    from ragstone.deadline import Deadline
    from ragstone.models.ports import Delta, GenerationOptions, Generator, Prompt
    from ragstone.telemetry.metrics import Metrics


class MeasuredGenerator:
    """Another generator, watched."""

    def __init__(self, generator: Generator, metrics: Metrics) -> None:
        self._generator = generator
        self._metrics = metrics

    @property
    def model(self) -> str:
        """Of the generator."""
        return self._generator.model

    async def stream(
        self, prompt: Prompt, options: GenerationOptions, deadline: Deadline
    ) -> AsyncGenerator[Delta | Usage, None]:
        """As the generator streams; see `Generator.stream`."""
        call = _Call(self._metrics, options.model or self.model)
        try:
            async with contextlib.aclosing(self._generator.stream(prompt, options, deadline)) as parts:
                async for part in parts:
                    call.hear(part)
                    yield part
        except RagstoneError as error:
            call.end(error.code)
            raise
        except BaseException:
            call.end("stopped")
            raise
        call.end("ok")

    async def aclose(self) -> None:
        """Close the generator."""
        await self._generator.aclose()


class _Call:
    """One call while it runs."""

    def __init__(self, metrics: Metrics, model: str) -> None:
        self._metrics = metrics
        self._model = model
        self._began = time.perf_counter()
        self._first_at: float | None = None
        self._usage: Usage | None = None

    def hear(self, part: Delta | Usage) -> None:
        """Note a part of the stream."""
        if isinstance(part, Usage):
            self._usage = part
        elif self._first_at is None:
            self._first_at = time.perf_counter()
            self._metrics.first_token_seconds.labels(self._model).observe(self._first_at - self._began)

    def end(self, outcome: str) -> None:
        """Note how it ended."""
        ended = time.perf_counter()
        self._metrics.generations.labels(self._model, outcome).inc()
        if outcome != "ok":
            return
        self._metrics.generation_seconds.labels(self._model).observe(ended - self._began)
        if self._usage is None:
            return
        self._metrics.generated_tokens.labels("prompt").inc(self._usage.prompt_tokens)
        self._metrics.generated_tokens.labels("completion").inc(self._usage.completion_tokens)
        if self._first_at is not None and ended > self._first_at and self._usage.completion_tokens > 1:
            rate = (self._usage.completion_tokens - 1) / (ended - self._first_at)
            self._metrics.tokens_per_second.labels(self._model).observe(rate)
