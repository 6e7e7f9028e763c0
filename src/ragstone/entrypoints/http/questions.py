"""Routes for searching and asking."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace

from fastapi import APIRouter, Request
from starlette.responses import Response

from ragstone.answer.events import AnswerEvent, Finished
from ragstone.entrypoints import wire
from ragstone.entrypoints.http.context import EngineOf, request_id_of, respond, while_connected
from ragstone.entrypoints.http.examples import ANSWERED, SEARCHED, documented
from ragstone.entrypoints.http.repeated import Understood, note_answer, note_result
from ragstone.entrypoints.http.schemas import AskBody, Neighbours, SearchBody
from ragstone.entrypoints.http.streaming import Frame, stream
from ragstone.entrypoints.requests import read_expansion, search_request
from ragstone.runtime.engine import Engine
from ragstone.types import Answer, AnswerRequest, SearchRequest

router = APIRouter(prefix="/v1")


@router.post("/search", tags=["search"], summary="Search", responses=documented({200: SEARCHED}))
async def search(request: Request, engine: EngineOf, body: SearchBody) -> Response:
    """The best chunks for a query: both legs by default, their scores fused."""
    expand = body.expand.model_dump() if isinstance(body.expand, Neighbours) else body.expand
    asked = replace(
        _search_request(engine, body, body.query), expand=None if expand is None else read_expansion(expand)
    )
    result = await while_connected(request, engine.search.search(asked))
    request.scope["ragstone.timings_ms"] = result.timings_ms
    await note_result(request, engine, Understood(asked, body.explain), result)
    return respond(wire.search_result(result, explain=body.explain))


@router.post("/ask", tags=["answers"], summary="Ask", responses=documented({200: ANSWERED}))
async def ask(request: Request, engine: EngineOf, body: AskBody) -> Response:
    """An answer with exact citations.

    With `stream` it comes as events: started, retrieved, delta, cited, checked, finished or failed.
    """
    asked = AnswerRequest(_search_request(engine, body, body.question), body.temperature)
    if body.stream:
        return await stream(request, _frames(request, engine.answers.stream(asked), explain=body.explain))
    answer = await while_connected(request, engine.answers.ask(asked))
    _tell(request, answer)
    await note_answer(request, engine, Understood(asked, body.explain), answer)
    return respond(wire.answer(answer, explain=body.explain, request_id=request_id_of(request)))


def _search_request(engine: Engine, body: SearchBody | AskBody, query: str) -> SearchRequest:
    asked = search_request(
        engine.settings,
        query,
        collections=body.collections,
        mode=body.mode,
        top_k=body.top_k,
        filters=body.filters,
        weights=None if body.weights is None else body.weights.model_dump(),
        fusion=body.fusion,
    )
    return asked if body.cache else replace(asked, use_cache=False)


async def _frames(
    request: Request, events: AsyncGenerator[AnswerEvent, None], *, explain: bool
) -> AsyncGenerator[Frame, None]:
    request_id = request_id_of(request)
    async with contextlib.aclosing(events):
        async for event in events:
            if isinstance(event, Finished):
                _tell(request, event.answer)
            yield Frame(event.name, event.seq, wire.event(event, explain=explain, request_id=request_id))


def _tell(request: Request, answer: Answer) -> None:
    """What the middleware says of the request."""
    request.scope["ragstone.timings_ms"] = answer.timings_ms
    request.scope["ragstone.answer_id"] = answer.answer_id
