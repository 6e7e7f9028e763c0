"""Around every request, as plain ASGI: who may call, request id, body limit, timing, metrics, log."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

import structlog

from ragstone.entrypoints.http.problems import problem
from ragstone.telemetry.caller import Caller, set_caller

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ragstone.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

LONGEST_USER = 200
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
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
        self,
        app: ASGIApp,
        metrics: Metrics,
        allowed_hosts: Iterable[str],
        max_bytes: int,
        user_header: str = "",
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._hosts = LOOPBACK_NAMES | {host.lower() for host in allowed_hosts}
        self._max_bytes = max_bytes
        self._user_header = user_header.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on when it may be; lifespan and websocket scopes go straight through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        exchange = _Exchange(scope, _request_id(headers))
        scope["ragstone.request_id"] = exchange.request_id
        set_caller(Caller("http", exchange.request_id, _client(scope), self._user(headers)))
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=exchange.request_id)
        sender = self._sender(exchange, send)
        self._metrics.http_in_flight.inc()
        try:
            await self._serve(exchange, headers, receive, sender)
        finally:
            self._record(exchange)

    async def _serve(
        self, exchange: _Exchange, headers: dict[str, str], receive: Receive, send: Send
    ) -> None:
        refusal = self._refusal(headers)
        if refusal is not None:
            status, code, detail = refusal
            exchange.scope["ragstone.problem"] = code
            path = exchange.scope["path"]
            response = problem(status, code, detail, path=path, request_id=exchange.request_id)
            await response(exchange.scope, receive, send)
            return
        await self._app(exchange.scope, self._limited(exchange, receive), send)

    def _user(self, headers: dict[str, str]) -> str:
        """Whom the proxy in front names; nobody unless a header of it is configured."""
        return headers.get(self._user_header, "")[:LONGEST_USER] if self._user_header else ""

    def _refusal(self, headers: dict[str, str]) -> tuple[HTTPStatus, str, str] | None:
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
        log.info(
            "http_request",
            method=method,
            route=route,
            status=exchange.status,
            duration_ms=round(elapsed_s * 1000, 3),
        )


def _request_id(headers: dict[str, str]) -> str:
    given = headers.get("x-request-id", "")
    return given if REQUEST_ID.match(given) else uuid4().hex


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
