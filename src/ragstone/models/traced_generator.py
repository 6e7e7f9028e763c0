"""A generator whose every call is a span after OpenTelemetry's GenAI conventions, and a line of the log."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from ragstone.models.ports import Delta
from ragstone.telemetry.spans import failure_of, span
from ragstone.types import Usage

if TYPE_CHECKING:
    from ragstone.deadline import Deadline
    from ragstone.models.ports import GenerationOptions, Generator, Prompt
    from ragstone.telemetry.spans import Attribute, Span

log = structlog.get_logger(__name__)

PROVIDER = "openai"
"""Of every server that speaks its protocol: the conventions have no word for those that are compatible."""


@dataclass(slots=True)
class _Call:
    """One generation while it runs."""

    model: str
    began: float = field(default_factory=time.perf_counter)
    first_s: float | None = None
    usage: Usage | None = None
    texts: list[str] = field(default_factory=list)
    failure: str | None = None

    def take(self, part: Delta | Usage, *, keeps_text: bool) -> None:
        """Note a part that came."""
        if isinstance(part, Usage):
            self.usage = part
            return
        if self.first_s is None:
            self.first_s = time.perf_counter() - self.began
        if keeps_text:
            self.texts.append(part.text)

    def describe(self, begun: Span | None) -> None:
        """Tell the span what came of it."""
        if begun is None:
            return
        if self.usage is not None:
            begun.set(
                {
                    "gen_ai.usage.input_tokens": self.usage.prompt_tokens,
                    "gen_ai.usage.output_tokens": self.usage.completion_tokens,
                }
            )
        if self.first_s is not None:
            begun.set({"gen_ai.response.time_to_first_chunk": self.first_s})
        if begun.captures_content:
            told = [{"role": "assistant", "parts": [{"type": "text", "content": "".join(self.texts)}]}]
            begun.set({"gen_ai.output.messages": json.dumps(told, ensure_ascii=False)})

    def log(self) -> None:
        """One line, without a word of the prompt or the answer."""
        usage = self.usage
        log.info(
            "llm_call",
            model=self.model,
            duration_ms=_ms(time.perf_counter() - self.began),
            first_token_ms=None if self.first_s is None else _ms(self.first_s),
            prompt_tokens=None if usage is None else usage.prompt_tokens,
            completion_tokens=None if usage is None else usage.completion_tokens,
            failure=self.failure,
        )


class TracedGenerator:
    """Passes everything through; content becomes part of a span only where the conventions' switch is on."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator

    @property
    def model(self) -> str:
        """Of the generator behind."""
        return self._generator.model

    async def stream(
        self, prompt: Prompt, options: GenerationOptions, deadline: Deadline
    ) -> AsyncGenerator[Delta | Usage, None]:
        """As the generator behind; see `Generator.stream`."""
        call = _Call(options.model or self.model)
        try:
            with span(f"chat {call.model}", "client", _asked(call.model, options)) as begun:
                keeps_text = begun is not None and begun.captures_content
                if begun is not None and keeps_text:
                    begun.set(_content(prompt))
                try:
                    parts = self._generator.stream(prompt, options, deadline)
                    async with aclosing(parts):
                        async for part in parts:
                            call.take(part, keeps_text=keeps_text)
                            yield part
                finally:
                    call.describe(begun)
        except BaseException as error:
            call.failure = failure_of(error)
            raise
        finally:
            call.log()

    async def aclose(self) -> None:
        """Close the generator behind."""
        await self._generator.aclose()


def _asked(model: str, options: GenerationOptions) -> dict[str, Attribute]:
    asked: dict[str, Attribute] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.request.model": model,
        "gen_ai.request.stream": True,
        "gen_ai.output.type": "text",
    }
    if options.temperature is not None:
        asked["gen_ai.request.temperature"] = options.temperature
    if options.max_tokens is not None:
        asked["gen_ai.request.max_tokens"] = options.max_tokens
    return asked


def _content(prompt: Prompt) -> dict[str, Attribute]:
    """The prompt in the conventions' shape: instructions apart from the turns."""
    turns = [
        {"role": message.role, "parts": [{"type": "text", "content": message.content}]}
        for message in prompt.messages
        if message.role != "system"
    ]
    instructions = [{"type": "text", "content": prompt.system}] if prompt.system else []
    return {
        "gen_ai.input.messages": json.dumps(turns, ensure_ascii=False),
        "gen_ai.system_instructions": json.dumps(instructions, ensure_ascii=False),
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
