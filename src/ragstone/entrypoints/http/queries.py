"""Routes for what was asked: popular questions, completions, similar ones, figures, erasure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from ragstone.entrypoints import wire_queries
from ragstone.entrypoints.http.context import EngineOf, respond
from ragstone.entrypoints.http.examples import COMPLETIONS, POPULAR, QUERY_STATISTICS, SIMILAR, documented
from ragstone.entrypoints.http.schemas import EraseQuery, PopularQuery
from ragstone.service.queries import PopularRequest

router = APIRouter(prefix="/v1/queries", tags=["queries"])

Limit = Annotated[int, Query(ge=1, le=100, description="How many at most.")]
Asked = Annotated[str, Query(min_length=1, description="The question.")]


@router.get("/popular", summary="Popular questions", responses=documented({200: POPULAR}))
async def popular_queries(engine: EngineOf, asked: Annotated[PopularQuery, Query()]) -> Response:
    """The most asked questions, most asked first. Filters look at the 1,000 most asked ones."""
    since = asked.since
    since_ms = None if since is None else int(_aware(since).timestamp() * 1000)
    wanted = PopularRequest(asked.limit, asked.days, asked.prefix, asked.q, asked.collection, since_ms)
    return respond(wire_queries.popular(await engine.queries.popular(wanted), asked.days))


@router.get("/autocomplete", summary="Complete a question", responses=documented({200: COMPLETIONS}))
async def autocomplete(
    engine: EngineOf,
    q: Annotated[str, Query(description="The beginning of a question.")] = "",
    limit: Limit = 10,
) -> Response:
    """The most asked questions that begin so; case does not matter, accents do."""
    return respond(wire_queries.completions(await engine.queries.complete(q, limit)))


@router.get("/similar", summary="Similar questions", responses=documented({200: SIMILAR}))
async def similar_queries(engine: EngineOf, q: Asked, limit: Limit = 10) -> Response:
    """Questions that were asked and share rare words with this one, the most similar first."""
    return respond(wire_queries.similar(await engine.queries.similar(q, limit)))


@router.get("/statistics", summary="What was asked", responses=documented({200: QUERY_STATISTICS}))
async def query_statistics(
    engine: EngineOf,
    days: Annotated[int | None, Query(ge=1, description="How many days, with today.")] = None,
) -> Response:
    """Questions by day: asked, different ones, asked for an answer, without a hit."""
    return respond(wire_queries.statistics(await engine.queries.statistics(days)))


@router.delete("", summary="Erase questions")
async def erase_queries(engine: EngineOf, chosen: Annotated[EraseQuery, Query()]) -> Response:
    """Forget one question, what a client or a user asked, or all; no process has it any more afterwards."""
    if chosen.client is not None:
        return respond(wire_queries.erased(await engine.queries.erase_asker("client", chosen.client)))
    if chosen.user is not None:
        return respond(wire_queries.erased(await engine.queries.erase_asker("user", chosen.user)))
    return respond(wire_queries.erased(await engine.queries.erase(chosen.q)))


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
