"""Metrics on a port of their own: for servers whose port is for users, and for workers, which have none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import structlog
import uvicorn
from anyio import to_thread

from ragstone.entrypoints.http.listen import listen_on
from ragstone.errors import NotFound, RagstoneError
from ragstone.operate.health import WAIT_S
from ragstone.telemetry.loop_lag import LoopLag

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from ragstone.runtime.engine import Engine

log = structlog.get_logger(__name__)

PATH = "/metrics"
LOOK_EVERY_S = 10.0
"""Between two looks at the dependencies for the sake of metrics."""


async def exposition(engine: Engine) -> Response:
    """Every metric of this process in the Prometheus text format.

    Raises:
        NotFound: metrics are switched off.
    """
    from starlette.responses import Response

    if not engine.settings.telemetry.metrics:
        raise NotFound("Metrics are switched off; set telemetry.metrics = true.")
    await engine.health.report(LOOK_EVERY_S, WAIT_S)
    # Read in a thread: it walks the processes of the machine, and a home may hang.
    await to_thread.run_sync(engine.resources)
    try:
        await engine.jobs.measure()
        await engine.gauges.refresh()
    except RagstoneError as error:
        # The other figures are wanted most of all while the store is away.
        log.warning("store_not_measured", code=error.code)
    return Response(engine.metrics.exposition(), media_type=engine.metrics.content_type)


@asynccontextmanager
async def exporting(engine: Engine) -> AsyncIterator[None]:
    """Serve /metrics on `telemetry.metrics_port` during the block; without a port nothing happens.

    Raises:
        InvalidSetting: the port is taken: each process needs one of its own.
    """
    telemetry = engine.settings.telemetry
    if not (telemetry.metrics and telemetry.metrics_port):
        yield
        return
    listener = listen_on(engine.settings.server.host, telemetry.metrics_port, "telemetry.metrics_port")
    config = uvicorn.Config(
        _Exporter(engine), log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1
    )
    server = _QuietServer(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving
        listener.close()


@asynccontextmanager
async def watching_loop(engine: Engine) -> AsyncIterator[None]:
    """Measure how late the event loop wakes, during the block."""
    lag = LoopLag(engine.metrics.loop_lag.observe)
    lag.start()
    try:
        yield
    finally:
        await lag.aclose()


class _Exporter:
    """Answers one path."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.responses import PlainTextResponse

        if scope["type"] != "http":
            return
        if scope["path"] == PATH and scope["method"] in ("GET", "HEAD"):
            response = await exposition(self._engine)
        else:
            response = PlainTextResponse(f"Only {PATH} is here.\n", 404)
        await response(scope, receive, send)


class _QuietServer(uvicorn.Server):
    """Leaves the signals to whoever runs the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing is captured."""
        yield
