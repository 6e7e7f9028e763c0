"""Generation over HTTP against a real server that behaves and misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from tests.support.generator import event
from tests.support.serving import serving

from ragstone.deadline import Deadline
from ragstone.errors import DeadlineExceeded, GeneratorFailed, PromptRefused
from ragstone.models.openai_generator import OpenAIGenerator, OpenAIOptions
from ragstone.models.ports import Delta, GenerationOptions, Message, Prompt
from ragstone.types import Usage

pytestmark = pytest.mark.anyio
LIMIT_S = 30.0
PROMPT = Prompt("Be brief.", "What is ragstone?", (Message("user", "Hi"), Message("assistant", "Hello")))
OPTIONS = GenerationOptions()


@dataclass
class ServerDouble:
    """A chat completions server; the model's name in the request chooses how it behaves."""

    base_url: str = ""
    requests: list[dict[str, object]] = field(default_factory=list)
    disconnected: threading.Event = field(default_factory=threading.Event)

    async def complete(self, request: Request) -> Response:
        """Answer one request."""
        asked = await request.json()
        self.requests.append(asked)
        match asked["model"]:
            case "locked":
                return JSONResponse({"error": {"message": "Incorrect API key"}}, 401)
            case "unknown":
                return JSONResponse({"error": {"message": "model 'unknown' not found"}}, 404)
            case "busy":
                return JSONResponse({"error": {"message": "slow down"}}, 429)
            case "page":
                return PlainTextResponse("<html>A proxy's page</html>")
            case "picky" if {"stream_options", "temperature", "max_tokens"} & asked.keys():
                named = min({"stream_options", "temperature", "max_tokens"} & asked.keys())
                return JSONResponse({"error": {"message": f"Unsupported parameter: '{named}'"}}, 400)
            case "stubborn":
                return JSONResponse({"error": {"message": "no"}}, 400)
        return StreamingResponse(self._events(asked["model"]), media_type="text/event-stream")

    async def _events(self, model: str) -> AsyncIterator[str]:
        if model == "hanging":
            await self._hang()
        if model == "garbage":
            yield "data: {not json\n\n"
            return
        if model == "shapeless":
            yield 'data: {"choices": [{"delta": {"content": 7}}]}\n\n'
            return
        for word in ("Rag", "stone", " is rock."):
            yield event({"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]})
            if model == "endless":
                await self._hang()
            if model == "cut":
                return
            if model == "crashing":
                raise ConnectionAbortedError("the server double was told to break off")
            if model == "mid-error":
                yield event({"error": {"message": "out of memory"}})
        yield event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        yield event(
            {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}}
        )
        yield "data: [DONE]\n\n"

    async def _hang(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.disconnected.set()


@pytest.fixture(scope="module")
def running() -> Iterator[ServerDouble]:
    """The double on a port of its own."""
    double = ServerDouble()
    app = Starlette(routes=[Route("/v1/chat/completions", double.complete, methods=["POST"])])
    with serving(app) as address:
        double.base_url = f"{address}/v1"
        yield double


@pytest.fixture
def server(running: ServerDouble) -> ServerDouble:
    """The double without memories of other tests."""
    running.requests.clear()
    running.disconnected.clear()
    return running


async def generate(
    base_url: str, model: str, options: GenerationOptions = OPTIONS, limit_s: float = LIMIT_S
) -> list[Delta | Usage]:
    """Everything that a fresh generator yields."""
    generator = OpenAIGenerator(OpenAIOptions(base_url, model))
    try:
        return [part async for part in generator.stream(PROMPT, options, Deadline.after(limit_s))]
    finally:
        await generator.aclose()


async def test_deltas_come_in_order_and_usage_last(server: ServerDouble) -> None:
    """The text is the concatenation of the deltas; usage is the server's count."""
    parts = await generate(server.base_url, "good")

    assert parts == [Delta("Rag"), Delta("stone"), Delta(" is rock."), Usage(9, 3)]


async def test_the_prompt_and_options_reach_the_server(server: ServerDouble) -> None:
    """System first, then history, then the question; the override names another model."""
    await generate(server.base_url, "good", GenerationOptions(0.3, 55, model="other"))

    asked = server.requests[0]
    assert asked["model"] == "other"
    assert (asked["temperature"], asked["max_tokens"], asked["stream"]) == (0.3, 55, True)
    assert asked["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "What is ragstone?"},
    ]


async def test_refused_parameters_are_left_out_and_remembered(server: ServerDouble) -> None:
    """A server that wants none of them is asked again, and at once rightly the next time."""
    generator = OpenAIGenerator(OpenAIOptions(server.base_url, "picky"))
    first = [part async for part in generator.stream(PROMPT, OPTIONS, Deadline.after(LIMIT_S))]
    asked_first = len(server.requests)
    second = [part async for part in generator.stream(PROMPT, OPTIONS, Deadline.after(LIMIT_S))]
    await generator.aclose()

    assert first == second
    assert (asked_first, len(server.requests)) == (4, 5)
    assert server.requests[-1]["max_completion_tokens"] == OPTIONS.max_tokens


PASSING = {"busy", "cut", "crashing", "mid-error"}
"""Failures that another moment may mend; wrong keys, names, addresses and prompts stay wrong."""


@pytest.mark.parametrize(
    ("model", "happened"),
    [
        ("locked", r"refused the key \(.*Incorrect API key.*generator\.api_key"),
        ("unknown", r"knows no such model or path \(.*not found.*generator\.model"),
        ("busy", r"failed \(.*slow down"),
        ("stubborn", r"refuses this prompt \(.*400 - no\)"),
        ("page", r"sent something else than a chat completion.*such as /v1"),
        ("garbage", r"sent something else than a chat completion .*generator\.base_url"),
        ("shapeless", r"sent something else than a chat completion"),
        ("cut", r"stopped in the middle of its answer"),
        ("crashing", r"could not be reached or broke off"),
        ("mid-error", r"failed \(out of memory"),
    ],
)
async def test_a_misbehaving_server_is_described(server: ServerDouble, model: str, happened: str) -> None:
    """The error names the address, what happened and the fix; nothing is asked twice."""
    with pytest.raises(GeneratorFailed, match=happened) as caught:
        await generate(server.base_url, model)

    assert server.base_url in caught.value.message
    assert caught.value.retryable == (model in PASSING)
    assert isinstance(caught.value, PromptRefused) == (model == "stubborn")
    assert len(server.requests) == 1


async def test_an_absent_server_is_described() -> None:
    """Nobody listens: the address and what to start."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"

    with pytest.raises(GeneratorFailed, match=r"could not be reached .*start that server"):
        await generate(base_url, "good")


async def test_a_silent_server_is_given_up_in_time(server: ServerDouble) -> None:
    """The deadline ends the wait, and the server is told."""
    with pytest.raises(GeneratorFailed, match=r"did not finish within 0\.2 s"):
        await generate(server.base_url, "hanging", limit_s=0.2)

    assert await asyncio.to_thread(server.disconnected.wait, LIMIT_S)


async def test_no_time_means_no_request(server: ServerDouble) -> None:
    """A deadline that is over ends it before the server is asked."""
    with pytest.raises(DeadlineExceeded):
        await generate(server.base_url, "good", limit_s=-1)

    assert server.requests == []


async def test_closing_the_stream_stops_the_server(server: ServerDouble) -> None:
    """A reader that has enough hangs up."""
    generator = OpenAIGenerator(OpenAIOptions(server.base_url, "endless"))

    async with contextlib.aclosing(generator.stream(PROMPT, OPTIONS, Deadline.after(LIMIT_S))) as parts:
        assert await anext(parts) == Delta("Rag")

    assert await asyncio.to_thread(server.disconnected.wait, LIMIT_S)
    await generator.aclose()


async def test_cancelling_the_task_stops_the_server(server: ServerDouble) -> None:
    """A client that left costs no further tokens."""
    generator = OpenAIGenerator(OpenAIOptions(server.base_url, "endless"))
    heard = asyncio.Event()

    async def listen() -> None:
        async with contextlib.aclosing(generator.stream(PROMPT, OPTIONS, Deadline.after(LIMIT_S))) as parts:
            async for _ in parts:
                heard.set()

    task = asyncio.create_task(listen())
    await asyncio.wait_for(heard.wait(), LIMIT_S)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await asyncio.to_thread(server.disconnected.wait, LIMIT_S)
    await generator.aclose()
