"""Repeated questions without the framework: the same bytes asked again are answered from the caches.

The framework reads, validates and answers a request in five times the time in which its answer is found
(docs/benchmarks.md). A body that was understood once needs no second reading; all else, and what is
not found, goes on to the routes as it came.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec
from cachetools import LRUCache

from ragstone.entrypoints import wire
from ragstone.entrypoints.http.problems import problem
from ragstone.errors import Overloaded, RagstoneError
from ragstone.types import AnswerRequest, SearchRequest

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ragstone.runtime.engine import Engine
    from ragstone.types import Answer, SearchResult

PATHS = ("/v1/ask", "/v1/search")
LONGEST_BODY = 16_384
"""Bytes; a longer request is rarely asked twice."""
MOST_BODIES = 2048
"""Remembered: with the longest bodies 32 MiB, with usual ones one or two."""


OWN_FIELDS = frozenset({"answer_id", "timings", "request_id"})
_JSON = (b"content-type", b"application/json")


@dataclass(frozen=True, slots=True)
class Understood:
    """What a body asks for, as its route read it."""

    asked: AnswerRequest | SearchRequest
    explain: bool

    @property
    def form(self) -> str:
        """How its response looks."""
        return "json+scores" if self.explain else "json"


@dataclass(frozen=True, slots=True)
class _Route:
    """Stands for the framework's route where only its template counts."""

    path: str


class RepeatedQuestions:
    """In front of the routes for searching and asking."""

    def __init__(self, app: ASGIApp, engine: Engine) -> None:
        self._app = app
        self._engine = engine
        self._understood: LRUCache[tuple[str, bytes, bytes], Understood] = LRUCache(MOST_BODIES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from the caches, refuse what there is no place for, or pass on."""
        content_type = _content_type(scope)
        if content_type is None:
            await self._app(scope, receive, send)
            return
        first = await receive()
        if first["type"] == "http.request" and not first.get("more_body"):
            key = (scope["path"], content_type, first["body"])
            known = self._understood.get(key)
            if known is not None and await self._answered(scope, known, send):
                return
            # What was never read here has no response that is kept: beyond the places it is not read either.
            if known is None and (error := self._refusal(scope["path"])) is not None:
                await _refuse(scope, error, receive, send)
                return
            scope["ragstone.remember"] = partial(self._understood.__setitem__, key)
        await self._app(scope, _after(first, receive), send)

    def _refusal(self, path: str) -> Overloaded | None:
        try:
            if path == "/v1/ask":
                self._engine.answers.check_room()
            else:
                self._engine.search.check_room()
        except Overloaded as error:
            return error
        return None

    async def _answered(self, scope: Scope, known: Understood, send: Send) -> bool:
        try:
            if isinstance(known.asked, AnswerRequest):
                found = await self._engine.answers.find_rendered(known.asked, known.form)
            else:
                found = await self._engine.search.find_rendered(known.asked, known.form)
        except RagstoneError:
            return False  # The route says it in its own way.
        if found is None:
            return False
        scope["route"], scope["ragstone.timings_ms"] = _Route(scope["path"]), found.timings_ms
        scope["ragstone.answer_id"] = found.answer_id
        timings = msgspec.json.encode(found.timings_ms)
        if isinstance(known.asked, AnswerRequest):
            names = str(found.answer_id).encode(), found.body, timings, scope["ragstone.request_id"].encode()
            body = b'{"answer_id":"%s",%s,"timings":%s,"request_id":"%s"}' % names
        else:
            body = b'{%s,"timings":%s}' % (found.body, timings)
        headers = [_JSON, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": HTTPStatus.OK, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return True


async def _refuse(scope: Scope, error: Overloaded, receive: Receive, send: Send) -> None:
    """Say it as the routes would, for less: beyond its capacity a server says it often."""
    scope["route"], scope["ragstone.problem"] = _Route(scope["path"]), error.code
    request_id = scope["ragstone.request_id"]
    response = problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        error.code,
        error.message,
        path=scope["path"],
        request_id=request_id,
        retryable=error.retryable,
    )
    await response(scope, receive, send)


async def note_answer(request: Request, engine: Engine, known: Understood, answer: Answer) -> None:
    """Remember how a question was read, and the response to it when the answer is kept."""
    if _is_noted(request, known, answer) and isinstance(known.asked, AnswerRequest):
        body = _inside(wire.answer(answer, explain=known.explain, request_id=""))
        with suppress(RagstoneError):  # the answer itself is good
            await engine.answers.keep_rendered(known.asked, known.form, answer, body)


async def note_result(request: Request, engine: Engine, known: Understood, result: SearchResult) -> None:
    """Remember how a search was read, and the response to it when the result is kept."""
    if _is_noted(request, known, result) and isinstance(known.asked, SearchRequest):
        body = _inside(wire.search_result(result, explain=known.explain))
        with suppress(RagstoneError):
            await engine.search.keep_rendered(known.asked, known.form, result, body)


def _is_noted(request: Request, known: Understood, found: Answer | SearchResult) -> bool:
    """Note how the body was read; whether its response is worth keeping, too: the second time."""
    remember = request.scope.get("ragstone.remember")
    if remember is not None and found.cache != "off":
        remember(known)
    return remember is not None and found.cache == "hit"


def _inside(shown: wire.Wire) -> bytes:
    """The response between its braces, without what every request has of its own."""
    kept = {name: value for name, value in shown.items() if name not in OWN_FIELDS}
    return msgspec.json.encode(kept)[1:-1]


def _content_type(scope: Scope) -> bytes | None:
    """Of a request that may be a repeated question; None of every other one."""
    if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in PATHS:
        return None
    content_type, length = b"", b""
    for name, value in scope["headers"]:
        if name == b"content-type":
            content_type = value
        elif name == b"content-length":
            length = value
    is_short = length.isdigit() and int(length) <= LONGEST_BODY
    return content_type if is_short else None


def _after(first: Message, receive: Receive) -> Receive:
    """The stream of a request whose first message was taken from it."""
    messages = [first]

    async def next_message() -> Message:
        return messages.pop() if messages else await receive()

    return next_message
