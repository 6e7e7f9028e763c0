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
from ragstone.errors import NotFound
from ragstone.runtime import Engine
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
    status = HTTPStatus.SERVICE_UNAVAILABLE if report.status == "failed" else HTTPStatus.OK
    return respond(wire.health(report), status)


@router.get("/health/detailed", summary="Health in detail")
async def detailed_health(engine: EngineOf) -> Response:
    """How every dependency and its breaker is, the figures of the caches and their tier, and the version."""
    report, caches = await engine.health.report(), await engine.caches.statistics()
    status = HTTPStatus.SERVICE_UNAVAILABLE if report.status == "failed" else HTTPStatus.OK
    details = {
        "version": version("ragstone"),
        **wire.health(report),
        **wire.breakers(report),
        **wire_work.caches(caches),
    }
    return respond(details, status)


@router.get("/health/live", summary="Liveness")
async def live() -> Response:
    """The process answers."""
    return respond({"status": "ok"})


@router.get("/health/ready", summary="Readiness")
async def ready(engine: EngineOf) -> Response:
    """Whether requests should be sent here: not while the store does not answer or the server is ending."""
    if engine.drain.is_begun:
        return respond({"status": "ending"}, HTTPStatus.SERVICE_UNAVAILABLE)
    report = await engine.health.report()
    status = HTTPStatus.SERVICE_UNAVAILABLE if report.status == "failed" else HTTPStatus.OK
    return respond({"status": report.status}, status)


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
