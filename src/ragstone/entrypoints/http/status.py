"""Routes for operators: health and metrics."""

from __future__ import annotations

from http import HTTPStatus
from importlib.metadata import version

from fastapi import APIRouter
from starlette.responses import Response

from ragstone.entrypoints import wire, wire_statistics, wire_work
from ragstone.entrypoints.http.context import EngineOf, respond
from ragstone.entrypoints.http.examples import STATISTICS, documented
from ragstone.entrypoints.http.exporter import exposition
from ragstone.entrypoints.http.liveness import BODY
from ragstone.errors import NotFound
from ragstone.operate.health import HealthReport
from ragstone.operate.versions import main_versions
from ragstone.runtime.engine import Engine
from ragstone.telemetry.percentiles import Percentiles

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
    return respond(wire.health(report), _status(report))


@router.get("/health/detailed", summary="Health in detail")
async def detailed_health(engine: EngineOf) -> Response:
    """How every dependency and its breaker is, the figures of the caches and their tier, and the versions."""
    report, caches = await engine.health.report(), await engine.caches.statistics()
    details = {
        "version": version("ragstone"),
        "versions": main_versions(),
        **wire.health(report),
        **wire.breakers(report),
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
    return await exposition(engine)


@router.get("/v1/metrics/summary", summary="Times of operations", responses=documented({200: STATISTICS}))
async def metrics_summary(engine: EngineOf) -> Response:
    """Count, least, mean, most and percentiles of each operation, of errors and of custom values, as JSON."""
    return respond(wire_statistics.summary(_percentiles(engine).summary()))


@router.delete("/v1/metrics/summary", summary="Begin counting anew", responses=documented({200: STATISTICS}))
async def reset_summary(engine: EngineOf) -> Response:
    """The figures until now; from here on they are counted anew. Prometheus' own are not touched."""
    found = wire_statistics.summary(_percentiles(engine).summary())
    engine.metrics.percentiles.reset()
    return respond(found)


def _percentiles(engine: Engine) -> Percentiles:
    if not engine.metrics.percentiles.is_on:
        raise NotFound("Times of operations are not kept; set telemetry.percentiles = true.")
    return engine.metrics.percentiles


def _status(report: HealthReport) -> HTTPStatus:
    return HTTPStatus.SERVICE_UNAVAILABLE if report.status == "failed" else HTTPStatus.OK
