"""Generation by any server that speaks OpenAI's chat completions, such as Ollama, vLLM or llama.cpp."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal, TypeVar
from urllib.parse import urlsplit

import anyio

from ragstone.config import hide_credentials
from ragstone.deadline import Deadline
from ragstone.errors import GeneratorFailed, PromptRefused
from ragstone.models.ports import Delta, GenerationOptions, Prompt
from ragstone.telemetry.spans import TRACEPARENT, annotate, present_span
from ragstone.types import Usage

if TYPE_CHECKING:
    from openai import APIError, AsyncOpenAI, AsyncStream
    from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

T = TypeVar("T")
Parameter = Literal["stream_options", "temperature", "max_tokens"]

NO_KEY = "none"
"""Sent when no key is configured: local servers want none, the SDK insists on one."""
CONNECT_LIMIT_S = 5.0
CLOSE_LIMIT_S = 2.0
QUOTED_CHARACTERS = 200
NEGOTIABLE: tuple[Parameter, ...] = ("stream_options", "temperature", "max_tokens")
"""Parameters that some servers or models refuse and that can be left out."""
CHECK_PATH = "check that generator.base_url ends in the path of the API, such as /v1"
CHECK_MODEL = f"check generator.model, and {CHECK_PATH.removeprefix('check ')}"
CHECK_LOG = "look into that server's log"
SHORTEN = "lower answer.context_tokens or generator.max_tokens, and look into that server's log"
START_SERVER = "start that server, or check generator.base_url"


@dataclass(frozen=True, slots=True)
class OpenAIOptions:
    """Where the server is and how long to wait for it."""

    base_url: str
    model: str
    api_key: str = ""
    timeout_s: float = 120.0
    """Longest wait for a whole answer."""


def load_sdk() -> None:
    """Import what the first answer needs, off the event loop and before the first request.

    It takes half a second, and more than one on a busy machine (November 2026).
    """
    for name in ("openai.resources.chat.chat", "openai.resources.chat.completions.completions"):
        import_module(name)


class OpenAIGenerator:
    """A chat model behind an OpenAI-compatible server. Asks once: whoever calls decides on retries."""

    def __init__(self, options: OpenAIOptions) -> None:
        self._options = options
        self._client: AsyncOpenAI | None = None
        self._refused: set[tuple[str, Parameter]] = set()
        self._server = _place_of(options.base_url)

    @property
    def model(self) -> str:
        """The configured model's name."""
        return self._options.model

    async def stream(
        self, prompt: Prompt, options: GenerationOptions, deadline: Deadline
    ) -> AsyncGenerator[Delta | Usage, None]:
        """The answer as deltas, then usage when the server tells; see `Generator.stream`."""
        deadline.check("the answer was generated")
        annotate(self._server)
        limit = Deadline.after(deadline.at_most(self._options.timeout_s), deadline.clock)
        chunks = await self._within(limit, self._open(prompt, options))
        is_begun = is_finished = False
        try:
            while (piece := await self._within(limit, _next_piece(chunks))) is not None:
                is_begun, is_finished = True, is_finished or piece.is_last
                for part in piece.parts:
                    yield part
            if not is_finished:
                raise self._cut_off(is_begun)
        finally:
            # A cancelled task, too, must tell the server to stop; it may not hang on that.
            with anyio.move_on_after(CLOSE_LIMIT_S, shield=True):
                await chunks.close()

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _open(self, prompt: Prompt, options: GenerationOptions) -> AsyncStream[ChatCompletionChunk]:
        from openai import BadRequestError, UnprocessableEntityError

        model = options.model or self.model
        while True:
            try:
                return await self._create(prompt, options, model)
            except (BadRequestError, UnprocessableEntityError) as error:
                named = {(model, name) for name in NEGOTIABLE if name in str(error)} - self._refused
                if not named:
                    raise
                self._refused |= named

    async def _create(
        self, prompt: Prompt, options: GenerationOptions, model: str
    ) -> AsyncStream[ChatCompletionChunk]:
        from openai import omit

        refused = {name for refusing_model, name in self._refused if refusing_model == model}
        return await self._connected().chat.completions.create(
            model=model,
            messages=_wire_messages(prompt),
            stream=True,
            stream_options=omit if "stream_options" in refused else {"include_usage": True},
            temperature=omit if "temperature" in refused else options.temperature,
            # What refuses max_tokens are OpenAI's newer models, which want the longer name.
            max_tokens=omit if "max_tokens" in refused else options.max_tokens,
            max_completion_tokens=options.max_tokens if "max_tokens" in refused else omit,
            # A server that traces, too, goes on with this trace.
            extra_headers=None if (here := present_span()) is None else {TRACEPARENT: here.traceparent},
        )

    def _connected(self) -> AsyncOpenAI:
        if self._client is None:
            from openai import AsyncOpenAI, Timeout

            self._client = AsyncOpenAI(
                base_url=self._options.base_url,
                api_key=self._options.api_key or NO_KEY,
                timeout=Timeout(self._options.timeout_s, connect=CONNECT_LIMIT_S),
                max_retries=0,
            )
        return self._client

    async def _within(self, limit: Deadline, step: Awaitable[T]) -> T:
        """Wait for one step of the conversation; every failure becomes a `GeneratorFailed`."""
        from openai import APIError

        try:
            with anyio.fail_after(limit.remaining_s):
                return await step
        except TimeoutError as error:
            raise self._slow(limit.budget_s) from error
        except APIError as error:
            raise self._translated(error, limit.budget_s) from error
        except AttributeError as error:  # see `net.transport`: the connection was reset as it opened
            raise self._broken_off(error) from error
        except ValueError as error:  # JSON and UTF-8 errors of the body, and `_next_piece`
            happened = "sent something else than a chat completion"
            raise self._failed(happened, CHECK_PATH, told=str(error), retryable=False) from error

    def _translated(self, error: APIError, limit_s: float) -> GeneratorFailed:
        import openai

        told = str(error)[:QUOTED_CHARACTERS]
        match error:
            case openai.APITimeoutError():
                return self._slow(limit_s)
            case openai.APIConnectionError():
                return self._broken_off(error.__cause__ or error)
            case openai.AuthenticationError() | openai.PermissionDeniedError():
                return self._failed("refused the key", "set generator.api_key", told=told, retryable=False)
            case openai.NotFoundError():
                return self._failed("knows no such model or path", CHECK_MODEL, told=told, retryable=False)
            case openai.BadRequestError() | openai.UnprocessableEntityError():
                return PromptRefused(self._message(f"refuses this prompt ({told})", SHORTEN))
            case _:
                return self._failed("failed", CHECK_LOG, told=told)

    def _cut_off(self, is_begun: bool) -> GeneratorFailed:
        if is_begun:
            return self._failed("stopped in the middle of its answer", CHECK_LOG)
        return self._failed("sent something else than a chat completion", CHECK_PATH, retryable=False)

    def _broken_off(self, cause: BaseException) -> GeneratorFailed:
        told = repr(cause)[:QUOTED_CHARACTERS]
        return self._failed("could not be reached or broke off", START_SERVER, told=told)

    def _slow(self, limit_s: float) -> GeneratorFailed:
        fix = "give the request more time, raise generator.timeout_s, or choose a smaller model"
        return self._failed(f"did not finish within {limit_s:.3g} s", fix)

    def _failed(self, reason: str, fix: str, *, told: str = "", retryable: bool = True) -> GeneratorFailed:
        """`told` is what the server or the system said: it is shown, and never kept."""
        return GeneratorFailed(
            self._message(f"{reason} ({told})" if told else reason, fix),
            retryable=retryable,
            reason=reason,
            base_url=hide_credentials(self._options.base_url),
            model=self.model,
        )

    def _message(self, happened: str, fix: str) -> str:
        base_url = hide_credentials(self._options.base_url)
        return f"The generator at {base_url} (model {self.model!r}) {happened}; {fix}."


def _place_of(base_url: str) -> dict[str, str | int]:
    """Where the server is, in the words of a span."""
    try:
        found = urlsplit(base_url)
        port = {} if found.port is None else {"server.port": found.port}
        return {"server.address": found.hostname or "", **port}
    except ValueError:  # the call itself will say what is wrong with it
        return {}


def _wire_messages(prompt: Prompt) -> list[ChatCompletionMessageParam]:
    wire: list[ChatCompletionMessageParam] = []
    for message in prompt.messages:
        match message.role:
            case "system":
                wire.append({"role": "system", "content": message.content})
            case "user":
                wire.append({"role": "user", "content": message.content})
            case "assistant":
                wire.append({"role": "assistant", "content": message.content})
    return wire


@dataclass(frozen=True, slots=True)
class _Piece:
    parts: tuple[Delta | Usage, ...]
    is_last: bool


async def _next_piece(chunks: AsyncStream[ChatCompletionChunk]) -> _Piece | None:
    chunk = await anext(chunks, None)
    if chunk is None:
        return None
    try:
        return _read(chunk)
    except (AttributeError, TypeError) as error:  # the SDK does not check what it parses
        raise ValueError(f"{chunk!r}"[:QUOTED_CHARACTERS]) from error


def _read(chunk: ChatCompletionChunk) -> _Piece:
    texts = [choice.delta.content for choice in chunk.choices]
    # The sum raises on what is no string: the SDK's types are promises of the server.
    parts: list[Delta | Usage] = [Delta("" + text) for text in texts if text]
    if finished := [choice.finish_reason for choice in chunk.choices if choice.finish_reason]:
        annotate(
            {
                "gen_ai.response.model": str(chunk.model),
                "gen_ai.response.id": str(chunk.id),
                "gen_ai.response.finish_reasons": finished,
            }
        )
    if chunk.usage:
        parts.append(Usage(chunk.usage.prompt_tokens or 0, chunk.usage.completion_tokens or 0))
    return _Piece(tuple(parts), any(choice.finish_reason for choice in chunk.choices))
