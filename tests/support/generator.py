"""A real HTTP server that speaks OpenAI's chat completions, well or badly, by the model's name."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.support.serving import serving

HELD_LIMIT_S = 60.0


@dataclass
class GeneratorDouble:
    """Answers with `pieces`; `model` in the request chooses how it behaves.

    good: pieces, then usage. garbage: no event stream. cut: ends after the first piece. slow: the first
    piece, then nothing until the client leaves (`left` is set then). held: nothing before `may_go` is set.
    locked: 401.
    """

    base_url: str = ""
    pieces: tuple[str, ...] = ("The answer is in the passage", " [1", "]. Nothing else", " [42] is known.")
    requests: list[dict[str, object]] = field(default_factory=list)
    asked: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)
    may_go: threading.Event = field(default_factory=threading.Event)

    async def complete(self, request: Request) -> Response:
        """Answer one request."""
        asked = await request.json()
        self.requests.append(asked)
        self.asked.set()
        if asked["model"] == "garbage":
            return PlainTextResponse("<html>a proxy's page</html>")
        if asked["model"] == "locked":
            return JSONResponse({"error": {"message": "bad key"}}, 401)
        return StreamingResponse(self._events(asked["model"]), media_type="text/event-stream")

    async def _events(self, model: str) -> AsyncIterator[str]:
        if model == "held":
            await asyncio.to_thread(self.may_go.wait, HELD_LIMIT_S)
        for piece in self.pieces:
            yield event({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
            if model == "cut":
                return
            if model == "slow":
                await self._wait_until_left()
        yield event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        yield event(
            {"choices": [], "usage": {"prompt_tokens": 120, "completion_tokens": 9, "total_tokens": 129}}
        )
        yield "data: [DONE]\n\n"

    async def _wait_until_left(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.left.set()


@contextmanager
def running_generator() -> Iterator[GeneratorDouble]:
    """The double on a port of its own."""
    double = GeneratorDouble()
    app = Starlette(routes=[Route("/v1/chat/completions", double.complete, methods=["POST"])])
    with serving(app) as address:
        double.base_url = f"{address}/v1"
        yield double


def event(content: dict[str, object]) -> str:
    """A chunk of a completion as a server-sent event."""
    return f"data: {json.dumps({'id': '1', 'object': 'chat.completion.chunk', **content})}\n\n"
