"""Routes for warming the caches: begin, look, cancel."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from starlette.responses import Response

from ragstone.entrypoints import wire_queries
from ragstone.entrypoints.http.context import EngineOf, respond
from ragstone.entrypoints.http.examples import WARMING, documented
from ragstone.entrypoints.http.schemas import WarmCaches

router = APIRouter(prefix="/v1/cache", tags=["cache"])


@router.post("/warm", summary="Warm the caches", responses=documented({202: WARMING}))
async def warm_caches(engine: EngineOf, body: WarmCaches | None = None) -> Response:
    """Ask the most popular questions again, one at a time and only while nobody else asks.

    202 while it goes on; with `wait`, 200 at its end. A run that goes on already is the one that is told of.
    """
    asked = body or WarmCaches()
    if asked.wait:
        await engine.warmer.run(asked.top)
        return respond(wire_queries.warming(engine.warmer.status()))
    engine.warmer.begin("asked", asked.top)
    return respond(wire_queries.warming(engine.warmer.status()), HTTPStatus.ACCEPTED)


@router.get("/warming", summary="How warming goes", responses=documented({200: WARMING}))
async def warming_status(engine: EngineOf) -> Response:
    """The run that goes on, the last one, and how many there were since the server began."""
    return respond(wire_queries.warming(engine.warmer.status()))


@router.delete("/warming", summary="Cancel a warming", responses=documented({200: WARMING}))
async def cancel_warming(engine: EngineOf) -> Response:
    """End the run that goes on; what it has warmed stays."""
    await engine.warmer.cancel()
    return respond(wire_queries.warming(engine.warmer.status()))
