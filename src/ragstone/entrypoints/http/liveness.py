"""`/health/live` before everything else: who asks waits for nothing but a turn of the event loop."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from ragstone.telemetry.metrics import Metrics

PATH = "/health/live"
METHODS = ("GET", "HEAD")
BODY = b'{"status":"ok"}'
_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(BODY)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ],
}


class Liveness:
    """The outermost layer. Any Host may ask, as probes of a cluster do; they learn nothing of value."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Say that the process answers, or pass on."""
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] not in METHODS:
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        await send(_START)
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else BODY})
        self._metrics.observe_http(scope["method"], PATH, 200, time.perf_counter() - began)
