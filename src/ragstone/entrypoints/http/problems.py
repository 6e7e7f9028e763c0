"""Errors on the wire: RFC 9457 problem details with a code, the request id and whether to try again."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from http import HTTPStatus

import msgspec
import structlog
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ragstone.entrypoints.http.context import engine_of
from ragstone.errors import (
    BrokenDocument,
    Conflict,
    DeadlineExceeded,
    DependencyFailed,
    DocumentRejected,
    FetchFailed,
    FileTooLarge,
    GeneratorFailed,
    InvalidFileType,
    InvalidRequest,
    NotFound,
    NotReady,
    Overloaded,
    QueueFull,
    RagstoneError,
    Refused,
    ShuttingDown,
    SourceFailed,
    StoreFull,
)
from ragstone.telemetry.spans import present_trace_id

log = structlog.get_logger(__name__)

COME_AGAIN = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
"""Statuses that say when to come again, where that may help."""
MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
MOST_SHOWN_CHARS = 80
OBJECT_TYPES = ("dict_type", "model_type", "model_attributes_type")

# Nearest class first: the first one that an error is an instance of gives its status.
STATUSES: tuple[tuple[type[RagstoneError], HTTPStatus], ...] = (
    (InvalidFileType, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    (FileTooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (BrokenDocument, HTTPStatus.UNPROCESSABLE_ENTITY),
    (DocumentRejected, HTTPStatus.UNPROCESSABLE_ENTITY),
    (InvalidRequest, HTTPStatus.UNPROCESSABLE_ENTITY),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Conflict, HTTPStatus.CONFLICT),
    (Refused, HTTPStatus.FORBIDDEN),
    (Overloaded, HTTPStatus.TOO_MANY_REQUESTS),
    (ShuttingDown, HTTPStatus.SERVICE_UNAVAILABLE),
    (StoreFull, HTTPStatus.INSUFFICIENT_STORAGE),
    (DeadlineExceeded, HTTPStatus.GATEWAY_TIMEOUT),
    (GeneratorFailed, HTTPStatus.BAD_GATEWAY),
    (FetchFailed, HTTPStatus.BAD_GATEWAY),
    (SourceFailed, HTTPStatus.BAD_GATEWAY),
    (DependencyFailed, HTTPStatus.SERVICE_UNAVAILABLE),
    (NotReady, HTTPStatus.SERVICE_UNAVAILABLE),
)

HTTP_CODES = {
    400: "invalid_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
    415: "invalid_media_type",
}


HTTP_ONLY = (
    ("invalid_json", 400, "The body is not JSON, or nests too deep."),
    ("method_not_allowed", 405, "The path is there, but not with this method."),
    ("request_too_large", 413, "The body is over the size limit; it is not read to its end."),
    ("invalid_media_type", 415, "The body's Content-Type is not one that this path takes."),
    ("refused", 421, "The Host header is not in `security.allowed_hosts`."),
)
"""What HTTP alone refuses, before the tree of errors: code, status, meaning. None may be tried again."""


def status_of(error: RagstoneError) -> HTTPStatus:
    """The HTTP status of an error; 500 for one that is nobody's request's fault."""
    for kind, status in STATUSES:
        if isinstance(error, kind):
            return status
    return HTTPStatus.INTERNAL_SERVER_ERROR


def problem(
    status: HTTPStatus, code: str, detail: str, *, path: str, request_id: str, retryable: bool = False
) -> Response:
    """A problem response; `details` of the error stay in the log."""
    body = {
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
        "detail": detail,
        "code": code,
        "path": path,
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "request_id": request_id,
        "trace_id": present_trace_id() or None,
        "retryable": retryable,
    }
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status in COME_AGAIN and retryable else None
    return Response(msgspec.json.encode(body), int(status), headers, MEDIA_TYPE)


async def render_ragstone_error(request: Request, error: Exception) -> Response:
    """The handler of everything that Ragstone raises on purpose."""
    if not isinstance(error, RagstoneError):
        return await render_unexpected(request, error)
    _note(request, error)
    status = status_of(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("error", code=error.code, status=int(status), route=_route(request), exc_info=error)
    response = _respond(request, status, error.code, error.message, retryable=error.retryable)
    if isinstance(error, QueueFull):
        response.headers["Retry-After"] = str(error.details["retry_after_s"])
    return response


async def render_validation_error(request: Request, error: Exception) -> Response:
    """The handler of bodies and parameters that do not fit their schema."""
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    if any(found["type"] == "json_invalid" for found in problems):
        reason = problems[0].get("ctx", {}).get("error", "it cannot be read")
        return _respond(
            request, HTTPStatus.BAD_REQUEST, "invalid_json", f"The request body is not JSON: {reason}."
        )
    detail = " ".join(_sentence(found) for found in problems) or "The request does not fit its schema."
    return _respond(request, HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", detail)


async def render_http_error(request: Request, error: Exception) -> Response:
    """The handler of what the framework refuses: unknown paths and methods."""
    if not isinstance(error, HTTPException):
        return await render_unexpected(request, error)
    status = HTTPStatus(error.status_code)
    detail = str(error.detail)
    if status == HTTPStatus.NOT_FOUND:
        detail = f"There is nothing at {request.url.path!r}; /openapi.json lists what there is."
    elif status == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"{request.method} is not possible at {request.url.path!r}; /openapi.json lists what is."
    response = _respond(request, status, HTTP_CODES.get(error.status_code, "http_error"), detail)
    response.headers.update(error.headers or {})
    return response


async def render_unexpected(request: Request, error: Exception) -> Response:
    """The last handler: nothing of the error's text leaves the process."""
    log.error("error", code="internal", route=_route(request), exc_info=error)
    _note(request, error)
    detail = "Ragstone failed on this request; the log of the server has the details under its request id."
    return _respond(request, HTTPStatus.INTERNAL_SERVER_ERROR, "internal", detail)


def _note(request: Request, error: Exception) -> None:
    """Into the log of errors, by the route's template: a path holds ids."""
    route = str(getattr(request.scope.get("route"), "path", "unmatched"))
    engine_of(request).errors.note(error, f"{request.method} {route}")


def _respond(
    request: Request, status: HTTPStatus, code: str, detail: str, *, retryable: bool = False
) -> Response:
    request_id = request.scope.get("ragstone.request_id", "")
    request.scope["ragstone.problem"] = code
    return problem(status, code, detail, path=request.url.path, request_id=request_id, retryable=retryable)


def _route(request: Request) -> str:
    """The path's template: a path may be somebody's words."""
    return str(getattr(request.scope.get("route"), "path", "unmatched"))


def _sentence(found: dict[str, object]) -> str:
    location = found["loc"]
    parts = [str(part) for part in location] if isinstance(location, tuple) else []
    noun = "parameter" if parts[:1] in (["query"], ["path"]) else "field"
    place = ".".join(parts[1:])
    if found["type"] == "extra_forbidden":
        return f"There is no {noun} {place!r}; /openapi.json lists the {noun}s of this request."
    if found["type"] == "missing":
        return f"The {noun} {place!r} is missing." if place else "The request has no JSON body."
    said = str(found["msg"]).removeprefix("Value error, ")
    if found["type"] in OBJECT_TYPES:  # the framework's sentence names a class of this code
        said = "Input should be a JSON object"
    if not place and noun == "parameter":  # about several together
        return f"{said[:1].upper()}{said[1:]}."
    return f"{_cut(place) or 'The body'} is {_shown(found.get('input'))}: {said}."


def _shown(value: object) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= MOST_SHOWN_CHARS else f"{text[: MOST_SHOWN_CHARS - 1]}…"
