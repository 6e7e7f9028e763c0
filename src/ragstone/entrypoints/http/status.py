"""Routes for operators: health and metrics."""

from __future__ import annotations

from http import HTTPStatus
from importlib.metadata import version

import structlog
from fastapi import APIRouter
from starlette.responses import Response

from ragstone.entrypoints import wire, wire_work
from ragstone.entrypoints.http.context import EngineOf, respond
from ragstone.entrypoints.http.liveness import BODY
from ragstone.errors import NotFound, RagstoneError
from ragstone.operate.health import WAIT_S, HealthReport
from ragstone.operate.versions import main_versions

log = structlog.get_logger(__name__)
router = APIRouter(tags=["status"])

LOOK_EVERY_S = 10.0
"""Scrapes look at the dependencies no more often."""


@router.get("/", summary="What this is")
async def index() -> Response:
    """Name, version and where to go on."""
    links = {"openapi": "/openapi.json", "health": "/health", "metrics": "/metrics", "mcp": "/mcp"}
    return respond({"name": "ragstone", "version": version("ragstone"), "links": links})


@router.get("/health", summary="Health")
async def health(engine: EngineOf) -> Response:
    """How every dependency is; 503 when the store does not answer."""
    report = await engine.health.report()
    return respond(wire.health(report), _status(report))


@router.get("/health/detailed", summary="Health in detail")
async def detailed_health(engine: EngineOf) -> Response:
    """How every dependency is, the figures of the caches and of the tier behind them, and the versions."""
    report, caches = await engine.health.report(), await engine.caches.statistics()
    details = {
        "version": version("ragstone"),
        "versions": main_versions(),
        **wire.health(report),
        **wire_work.caches(caches),
    }
    return respond(details, _status(report))


@router.get("/health/ready", summary="Readiness")
async def ready(engine: EngineOf) -> Response:
    """Whether requests should be sent here: 503 while starting or draining, or when the store fails.

    Degraded parts alone are no reason against it. Told within 50 ms, from looks of at most a second ago.
    """
    report = await engine.health.readiness()
    return respond(wire.health(report), HTTPStatus.OK if report.is_ready else HTTPStatus.SERVICE_UNAVAILABLE)


@router.get("/health/live", summary="Liveness")
async def live() -> Response:
    """The process answers. GET and HEAD are answered before the framework, by `liveness`."""
    return Response(BODY, media_type="application/json")


@router.get("/metrics", summary="Prometheus metrics")
async def metrics(engine: EngineOf) -> Response:
    """Every metric in the Prometheus text format."""
    if not engine.settings.telemetry.metrics:
        raise NotFound("Metrics are switched off; set telemetry.metrics = true.")
    await engine.health.report(LOOK_EVERY_S, WAIT_S)
    try:
        await engine.jobs.measure()
        await engine.gauges.refresh()
    except RagstoneError as error:
        # The other figures are wanted most of all while the store is away.
        log.warning("store_not_measured", error=error.message)
    return Response(engine.metrics.exposition(), media_type=engine.metrics.content_type)


def _status(report: HealthReport) -> HTTPStatus:
    return HTTPStatus.SERVICE_UNAVAILABLE if report.status == "failed" else HTTPStatus.OK
