"""The ASGI application around an engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from importlib.metadata import version

from anyio import to_thread
from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ragstone.entrypoints.http import (
    analytics,
    cache,
    chunks,
    documents,
    gpu,
    jobs,
    queries,
    questions,
    sources,
    status,
    traces,
    warming,
)
from ragstone.entrypoints.http.context import ClientGone, render_client_gone
from ragstone.entrypoints.http.liveness import Liveness
from ragstone.entrypoints.http.middleware import RequestMiddleware
from ragstone.entrypoints.http.parameters import refuse_unknown_parameters
from ragstone.entrypoints.http.problems import (
    render_http_error,
    render_ragstone_error,
    render_unexpected,
    render_validation_error,
)
from ragstone.entrypoints.http.repeated import RepeatedQuestions
from ragstone.entrypoints.mcp.mount import PATH as MCP_PATH, McpMount
from ragstone.errors import RagstoneError
from ragstone.runtime.engine import Engine

OPENAPI_PATH = "/openapi.json"
DESCRIPTION = """Documents in; hybrid search; answers with exact citations.

Text offsets are code points, half-open, into a document's stored text.
Additions to /v1 are compatible; unknown request fields and parameters are refused."""


def build_app(engine: Engine) -> ASGIApp:
    """The application; the engine is opened and closed by whoever built it."""
    mcp = McpMount(engine)
    app = FastAPI(
        title="Ragstone",
        version=version("ragstone"),
        description=DESCRIPTION,
        openapi_url=None,
        lifespan=_lifespan(mcp.running),
        # Its own spans would begin a second trace, and its logs hold bodies.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.engine = engine
    for module in (
        documents,
        chunks,
        jobs,
        sources,
        questions,
        traces,
        queries,
        analytics,
        cache,
        warming,
        gpu,
        status,
    ):
        app.include_router(module.router, dependencies=[Depends(refuse_unknown_parameters)])
    app.router.routes.append(Route(MCP_PATH, mcp, include_in_schema=False))
    app.router.routes.append(Route(OPENAPI_PATH, partial(_described, app), include_in_schema=False))
    app.add_exception_handler(RagstoneError, render_ragstone_error)
    app.add_exception_handler(RequestValidationError, render_validation_error)
    app.add_exception_handler(HTTPException, render_http_error)
    app.add_exception_handler(ClientGone, render_client_gone)
    app.add_exception_handler(Exception, render_unexpected)
    repeated = RepeatedQuestions(app, engine)
    inner = RequestMiddleware(repeated, engine.metrics, engine.tracing, engine.drain, engine.settings)
    return Liveness(inner, engine.metrics)


async def _described(app: FastAPI, _: Request) -> Response:
    """The description of every route; making it takes a third of a second, once."""
    return JSONResponse(await to_thread.run_sync(app.openapi))


def _lifespan(
    session: Callable[[], AbstractAsyncContextManager[None]],
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        engine: Engine = app.state.engine
        engine.worker.start(engine.settings.ingest.workers)
        engine.sources.start()
        engine.warmer.start()
        engine.sampler.start()
        async with session():
            yield

    return lifespan
