"""Around every request, as plain ASGI: who may call, request id, body limit, timing, metrics, log."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit
from uuid import uuid4

import structlog

from ragstone.entrypoints.http.problems import problem
from ragstone.errors import ShuttingDown
from ragstone.telemetry.caller import Caller, set_caller

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ragstone.operate.drain import Drain
    from ragstone.settings import Settings
    from ragstone.telemetry.metrics import Metrics
    from ragstone.telemetry.spans import Span, Tracing

log = structlog.get_logger(__name__)

LONGEST_USER = 200
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
Refusal: TypeAlias = tuple[HTTPStatus, str, str]
"""Status, code and sentence of a request that is not passed on."""
ENDING: Refusal = (
    HTTPStatus.SERVICE_UNAVAILABLE,
    ShuttingDown.code,
    "This server is shutting down and takes no new requests; try again in a moment, or another server.",
)
MCP_PATH = "/mcp"
REQUEST_ID = re.compile(r"[\w.:-]{1,128}\Z", re.ASCII)


@dataclass(slots=True)
class _Exchange:
    """One request on its way through."""

    scope: Scope
    request_id: str
    began: float = field(default_factory=time.perf_counter)
    status: int = 500
    received: int = 0
    sent: int = 0
    is_feed: bool = False
    """Bytes of bodies."""

    @property
    def elapsed_s(self) -> float:
        return time.perf_counter() - self.began

    @property
    def route(self) -> str:
        """The path's template, so that ids make no new label values."""
        route = self.scope.get("route")
        return str(getattr(route, "path", "unmatched"))


class RequestMiddleware:
    """The outermost layer of the application."""

    def __init__(
        self, app: ASGIApp, metrics: Metrics, tracing: Tracing, drain: Drain, settings: Settings
    ) -> None:
        self._app = app
        self._tracing = tracing
        self._metrics = metrics
        self._drain = drain
        self._hosts = LOOPBACK_NAMES | {host.lower() for host in settings.security.allowed_hosts}
        self._max_bytes = settings.limits.request_max_bytes
        self._slow_ms = settings.telemetry.slow_request_ms
        self._user_header = settings.analytics.user_header.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on when it may be; lifespan and websocket scopes go straight through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        exchange = _Exchange(scope, _request_id(headers))
        scope["ragstone.request_id"] = exchange.request_id
        set_caller(Caller("http", exchange.request_id, _client(scope), self._user(headers)))
        log.debug("http_request", method=scope["method"])
        sender = self._sender(exchange, send)
        self._metrics.http_in_flight.inc()
        with self._tracing.door(scope["method"], "server", headers=headers) as begun:
            try:
                if self._drain.is_begun and not _is_for_operators(scope):
                    await self._refuse(exchange, ENDING, receive, sender)
                elif (refusal := self._refusal(headers)) is not None:
                    await self._refuse(exchange, refusal, receive, sender)
                else:
                    await self._serve(exchange, receive, sender)
            finally:
                self._record(exchange)
                if begun is not None:
                    _describe(begun, exchange)

    async def _serve(self, exchange: _Exchange, receive: Receive, send: Send) -> None:
        work = self._app(exchange.scope, self._limited(exchange, receive), send)
        # A stream of MCP that an assistant keeps open to listen is no work that should be waited for.
        if exchange.scope["path"] == MCP_PATH and exchange.scope["method"] == "GET":
            await work
            return
        with self._drain.request():
            await work

    async def _refuse(self, exchange: _Exchange, refusal: Refusal, receive: Receive, send: Send) -> None:
        status, code, detail = refusal
        exchange.scope["ragstone.problem"] = code
        path, is_passing = exchange.scope["path"], code == ShuttingDown.code
        response = problem(
            status, code, detail, path=path, request_id=exchange.request_id, retryable=is_passing
        )
        if is_passing:
            response.headers["Connection"] = "close"
        await response(exchange.scope, receive, send)

    def _user(self, headers: dict[str, str]) -> str:
        """Whom the proxy in front names; nobody unless a header of it is configured."""
        return headers.get(self._user_header, "")[:LONGEST_USER] if self._user_header else ""

    def _refusal(self, headers: dict[str, str]) -> Refusal | None:
        host = headers.get("host", "")
        if _hostname(host) not in self._hosts:
            return (
                HTTPStatus.MISDIRECTED_REQUEST,
                "refused",
                f"This server does not answer to the Host {host!r}; list it in security.allowed_hosts.",
            )
        # A page on another site can send forms to loopback: without keys, its Origin is all that tells.
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).hostname not in self._hosts:
            return (HTTPStatus.FORBIDDEN, "refused", f"Requests from pages of {origin!r} are not taken.")
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._max_bytes:
            return (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "request_too_large", self._too_large())
        return None

    def _limited(self, exchange: _Exchange, receive: Receive) -> Receive:
        """A body without a length is counted while it streams."""

        async def limited() -> Message:
            message = await receive()
            exchange.received += len(message.get("body", b""))
            if exchange.received > self._max_bytes:
                from starlette.exceptions import HTTPException

                raise HTTPException(413, self._too_large())
            return message

        return limited

    def _too_large(self) -> str:
        return (
            f"The request body is over {self._max_bytes} bytes (limits.request_max_bytes); send less at once."
        )

    def _sender(self, exchange: _Exchange, send: Send) -> Send:
        async def sender(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                exchange.is_feed = _is_feed(exchange.scope, message)
                elapsed_ms = exchange.elapsed_s * 1000
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", exchange.request_id.encode("latin-1")),
                    (b"x-process-time", f"{elapsed_ms / 1000:.6f}".encode()),
                    (b"server-timing", _server_timing(exchange.scope, elapsed_ms)),
                    (b"x-content-type-options", b"nosniff"),
                ]
            else:
                exchange.sent += len(message.get("body", b""))
            await send(message)

        return sender

    def _record(self, exchange: _Exchange) -> None:
        elapsed_s, route = exchange.elapsed_s, exchange.route
        method = exchange.scope["method"]
        self._metrics.observe_http(method, route, exchange.status, elapsed_s)
        self._metrics.observe_bodies(exchange.received, exchange.sent)
        if code := exchange.scope.get("ragstone.problem"):
            self._metrics.http_problems.labels(code).inc()
        duration_ms = round(elapsed_s * 1000, 3)
        log.info("http_response", method=method, route=route, status=exchange.status, duration_ms=duration_ms)
        if 0 < self._slow_ms < duration_ms and not exchange.is_feed:
            log.warning(
                "slow_request",
                method=method,
                route=route,
                status=exchange.status,
                duration_ms=duration_ms,
                answer_id=exchange.scope.get("ragstone.answer_id"),
                stages_ms=exchange.scope.get("ragstone.timings_ms"),
            )


def _is_for_operators(scope: Scope) -> bool:
    """Whether the request asks how the server is: that is told to the end."""
    path = str(scope["path"])
    return path.startswith("/health") or path == "/metrics"


def _request_id(headers: dict[str, str]) -> str:
    given = headers.get("x-request-id", "")
    return given if REQUEST_ID.match(given) else uuid4().hex


def _describe(begun: Span, exchange: _Exchange) -> None:
    """The span of a request in the words of OpenTelemetry's conventions for HTTP; no query string."""
    scope, route = exchange.scope, exchange.route
    begun.rename(f"{scope['method']} {route}")
    begun.set(
        {
            "http.request.method": scope["method"],
            "http.route": route,
            "http.response.status_code": exchange.status,
            "url.scheme": scope["scheme"],
            "client.address": _client(scope),
            "ragstone.request_id": exchange.request_id,
        }
    )
    if exchange.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        begun.fail(str(exchange.status))


def _is_feed(scope: Scope, start: Message) -> bool:
    """Whether the response lasts as long as somebody listens; a streamed answer is none: it has an end."""
    kinds = (value for name, value in start["headers"] if name == b"content-type")
    return scope["path"] != "/v1/ask" and any(kind.startswith(b"text/event-stream") for kind in kinds)


def _client(scope: Scope) -> str:
    """The address that the request came from."""
    client = scope.get("client")
    return str(client[0]) if client else ""


@lru_cache(maxsize=256)
def _hostname(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _server_timing(scope: Scope, total_ms: float) -> bytes:
    stages = scope.get("ragstone.timings_ms") or {"total": total_ms}
    return ", ".join(f"{name};dur={spent:.3f}" for name, spent in stages.items()).encode("latin-1")
