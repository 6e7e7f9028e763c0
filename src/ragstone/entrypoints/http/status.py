"""Routes for operators: health and metrics."""

from __future__ import annotations

from http import HTTPStatus
from importlib.metadata import version

from fastapi import APIRouter
from starlette.responses import Response

from ragstone.entrypoints import wire, wire_work
from ragstone.entrypoints.http.context import EngineOf, respond
from ragstone.errors import NotFound

router = APIRouter(tags=["status"])


@router.get("/", summary="What this is")
async def index() -> Response:
    """Name, version and where to go on."""
    links = {"openapi": "/openapi.json", "health": "/health", "metrics": "/metrics", "mcp": "/mcp"}
    return respond({"name": "ragstone", "version": version("ragstone"), "links": links})


@router.get("/health", summary="Health")
async def health(engine: EngineOf) -> Response:
    """How every dependency is; 503 when the store does not answer."""
    report = await engine.health.report()
    status = HTTPStatus.SERVICE_UNAVAILABLE if report.status == "failed" else HTTPStatus.OK
    return respond(wire.health(report), status)


@router.get("/health/detailed", summary="Health in detail")
async def detailed_health(engine: EngineOf) -> Response:
    """How every dependency is, the figures of the caches and of the tier behind them, and the version."""
    report, caches = await engine.health.report(), await engine.caches.statistics()
    status = HTTPStatus.SERVICE_UNAVAILABLE if report.status == "failed" else HTTPStatus.OK
    details = {"version": version("ragstone"), **wire.health(report), **wire_work.caches(caches)}
    return respond(details, status)


@router.get("/health/live", summary="Liveness")
async def live() -> Response:
    """The process answers."""
    return respond({"status": "ok"})


@router.get("/metrics", summary="Prometheus metrics")
async def metrics(engine: EngineOf) -> Response:
    """Every metric in the Prometheus text format."""
    if not engine.settings.telemetry.metrics:
        raise NotFound("Metrics are switched off; set telemetry.metrics = true.")
    await engine.jobs.measure()
    await engine.gauges.refresh()
    return Response(engine.metrics.exposition(), media_type=engine.metrics.content_type)
