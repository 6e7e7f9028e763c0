"""Routes for operators of the caches: look and clear."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from ragstone.entrypoints import wire_work
from ragstone.entrypoints.http.context import EngineOf, respond
from ragstone.entrypoints.http.examples import CACHES, documented

router = APIRouter(prefix="/v1/cache", tags=["cache"])


@router.get("", summary="Figures of the caches", responses=documented({200: CACHES}))
async def cache_statistics(engine: EngineOf) -> Response:
    """Hits, misses, bytes and what was saved, per cache, since this process began."""
    return respond(wire_work.caches(await engine.caches.statistics()))


@router.delete("", summary="Clear caches", responses=documented({200: {"cleared": 12}}))
async def clear_cache(
    engine: EngineOf, cache: str | None = None, pattern: str = "*", collection: str | None = None
) -> Response:
    """Forget entries of one cache or all, of one collection or all; `pattern` is a glob over keys."""
    cleared = await engine.caches.clear(cache, pattern=pattern, collection=collection)
    return respond({"cleared": cleared})
