"""Errors as rows of the log: what kind, where in the code, at whose request; never the words of the request.

A message of ours names the offending value, a foreign one may. So the row has the sentence that describes the
class of the error, and the places of its stack without locals and source lines.
"""

from __future__ import annotations

import inspect
import os
import traceback
from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from ragstone.analytics.asked import Asked, present_ms
from ragstone.errors import (
    DeadlineExceeded,
    DependencyFailed,
    NotReady,
    Overloaded,
    RagstoneError,
    error_of,
)
from ragstone.store.query_log import ErrorRow
from ragstone.telemetry.caller import Caller, present_caller
from ragstone.types import DEFAULT_TENANT, TenantId

if TYPE_CHECKING:
    from ragstone.analytics.query_log import QueryLog

Severity = Literal["warning", "error", "critical"]
Background = Literal["worker", "sync", "warming"]
"""What works without anybody at a door, as the log of errors names it."""
E = TypeVar("E", bound=BaseException)

OPERATION_FAILURES = (DeadlineExceeded, DependencyFailed, NotReady, Overloaded)
"""Nothing that a caller did wrong."""
FRAMES, CAUSES = 40, 8
REMEMBERED = 1_000
LONGEST_NAME = 200
NOTED = "_ragstone_is_noted"
"""An error passes several doors on its way out."""


class FailureSink(Protocol):
    """Takes note of what failed beside requests."""

    def __call__(
        self,
        error: BaseException,
        operation: str,
        *,
        service: Background,
        tenant_id: TenantId = DEFAULT_TENANT,
    ) -> None:
        """`operation` (a stage, a kind) of `service` failed with `error`; see `ErrorLog.note`."""
        ...


class ErrorLog:
    """Notes errors, each once, however many doors it passes on its way out."""

    def __init__(self, log: QueryLog) -> None:
        self._log = log
        self._told: OrderedDict[tuple[str, str], None] = OrderedDict()
        """Failures of answers, by request and code, that a door may yet raise."""

    def note(
        self,
        error: BaseException,
        operation: str,
        *,
        service: Background | None = None,
        tenant_id: TenantId = DEFAULT_TENANT,
    ) -> None:
        """Note that `operation` (a route, a tool, a stage) failed; without `service` it is the door's."""
        caller = present_caller()
        code = error.code if isinstance(error, RagstoneError) else RagstoneError.code
        if service is None and (caller.request_id, code) in self._told:
            del self._told[caller.request_id, code]
            return
        self._note(error, operation, caller, service, tenant_id)

    def note_asked(self, asked: Asked) -> None:
        """Note that a search or an answer failed; an `AskedSink`."""
        if asked.error_code is None:
            return
        error = asked.error
        if error is None:  # it was told as an event; a door may raise it again as another object
            error = error_of(asked.error_code, "")
            self._told[asked.caller.request_id, error.code] = None
            if len(self._told) > REMEMBERED:
                self._told.popitem(last=False)
        self._note(error, asked.asking.kind, asked.caller, None, asked.asking.search.principal.tenant_id)

    def _note(
        self, error: BaseException, operation: str, caller: Caller, service: str | None, tenant_id: TenantId
    ) -> None:
        code = error.code if isinstance(error, RagstoneError) else RagstoneError.code
        if _is_noted(error):
            return
        noted(error)
        present = present_ms()
        self._log.record_error(
            ErrorRow(
                id=self._log.number(present),
                at_ms=present,
                tenant_id=tenant_id,
                type=type(error).__name__,
                code=code,
                message=description_of(error),
                stack="\n".join(places_of(error)) or None,
                service=service or caller.door,
                operation=operation[:LONGEST_NAME],
                client=caller.client[:LONGEST_NAME],
                request_id=caller.request_id,
                severity=severity_of(error),
            )
        )


def noted(error: E) -> E:
    """The error, which no door needs to note any more: the log has it."""
    setattr(error, NOTED, True)
    return error


def _is_noted(error: BaseException) -> bool:
    """Whether it, or what it was raised from, is the failure that was noted."""
    present: BaseException | None = error
    for _ in range(CAUSES):
        if present is None:
            break
        if getattr(present, NOTED, False):
            return True
        present = present.__cause__
    return False


def severity_of(error: BaseException) -> Severity:
    """`warning`: the caller can mend it; `error`: a part failed; `critical`: nobody meant it to happen."""
    if isinstance(error, OPERATION_FAILURES):
        return "error"
    return "warning" if isinstance(error, RagstoneError) and error.code != RagstoneError.code else "critical"


def description_of(error: BaseException) -> str:
    """What kind of error it is, in a sentence that holds nothing of the request."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    return (inspect.getdoc(type(error)) or type(error).__name__).partition("\n")[0]


def places_of(error: BaseException) -> Iterator[str]:
    """Where it was raised, innermost last, then the same of what caused it."""
    present: BaseException | None = error
    for _ in range(CAUSES):
        if present is None:
            return
        yield _name_of(present)
        # Without the lines of the code: they would be read from disk, on the event loop.
        frames = traceback.walk_tb(present.__traceback__)
        for frame in traceback.StackSummary.extract(frames, limit=-FRAMES, lookup_lines=False):
            yield f"  {_short(frame.filename)}:{frame.lineno} in {frame.name}"
        present = present.__cause__ or (None if present.__suppress_context__ else present.__context__)


def _name_of(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"


def _short(filename: str) -> str:
    """A file without the folders above its package: they name users and machines."""
    parts = filename.replace("\\", "/").split("/")
    for root in ("site-packages", "src"):
        if root in parts:
            return "/".join(parts[len(parts) - parts[::-1].index(root) :])
    return parts[-1]
