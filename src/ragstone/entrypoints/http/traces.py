"""Routes for explaining an answer that was given."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from ragstone.entrypoints import wire_traces
from ragstone.entrypoints.http.context import EngineOf, respond
from ragstone.entrypoints.http.examples import TRACED, documented

router = APIRouter(prefix="/v1/answers", tags=["answers"])


@router.get("/{answer_id}/trace", summary="Explain an answer", responses=documented({200: TRACED}))
async def answer_trace(engine: EngineOf, answer_id: str) -> Response:
    """How an answer came about: legs, fusion, passages, caches, times, tokens, citations.

    The id is the answer's, or that of the request that asked for it, which a failed one has, too.
    """
    return respond(wire_traces.answer_trace(await engine.traces.get(answer_id)))
