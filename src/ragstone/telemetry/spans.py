"""Spans of OpenTelemetry around what a request does; next to nothing where tracing is off.

A door begins a trace (`Tracing.door`); whatever runs below it finds the present span here and hangs its own
under it. Nothing of what users ask or documents say becomes an attribute unless `captures_content` is on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

from ragstone.errors import RagstoneError

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.trace import Link, Span as OtelSpan, SpanKind, Tracer, TracerProvider
    from opentelemetry.util.types import AttributeValue

Kind = Literal["internal", "server", "client", "consumer"]
Attribute: TypeAlias = str | bool | int | float | Sequence[str]
Attributes = Mapping[str, Attribute]

TRACEPARENT = "traceparent"
"""The W3C's header, and the name under which a job keeps it."""
NO_ATTRIBUTES: Attributes = MappingProxyType({})
_NOTHING = nullcontext()


class Span:
    """A span that has begun."""

    __slots__ = ("_inner", "_tracer", "captures_content", "is_recorded")

    def __init__(self, tracer: Tracer, inner: OtelSpan, *, captures_content: bool) -> None:
        self._tracer = tracer
        self._inner = inner
        self.captures_content = captures_content
        self.is_recorded = inner.is_recording()

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return f"{self._inner.get_span_context().trace_id:032x}"

    @property
    def span_id(self) -> str:
        """16 hexadecimal digits."""
        return f"{self._inner.get_span_context().span_id:016x}"

    @property
    def traceparent(self) -> str:
        """What the next process is told, so that its spans hang under this one."""
        flags = self._inner.get_span_context().trace_flags
        return f"00-{self.trace_id}-{self.span_id}-{flags:02x}"

    def set(self, attributes: Attributes) -> None:
        """Add attributes."""
        self._inner.set_attributes(_otel(attributes))

    def rename(self, name: str) -> None:
        """Give it the name that only its end could tell."""
        self._inner.update_name(name)

    def fail(self, kind: str) -> None:
        """Mark it as failed; `kind` is a code or a class, never a message."""
        from opentelemetry.trace import StatusCode

        self._inner.set_attribute("error.type", kind)
        self._inner.set_status(StatusCode.ERROR)

    def child(self, name: str, kind: Kind, attributes: Attributes) -> Span:
        """Begin a span under this one."""
        from opentelemetry.trace import set_span_in_context

        inner = self._tracer.start_span(
            name, set_span_in_context(self._inner), _kind(kind), attributes=_otel(attributes)
        )
        return Span(self._tracer, inner, captures_content=self.captures_content)

    def end(self) -> None:
        """It is over."""
        self._inner.end()


_present: ContextVar[Span | None] = ContextVar("ragstone_span", default=None)


def present_span() -> Span | None:
    """The span that this task is in; None where nothing is traced."""
    return _present.get()


def present_trace_id() -> str:
    """Of the trace that this task is part of; empty where nothing is traced."""
    found = _present.get()
    return "" if found is None else found.trace_id


def annotate(attributes: Attributes) -> None:
    """Add attributes to the present span."""
    found = _present.get()
    if found is not None and found.is_recorded:
        found.set(attributes)


def begin_span(name: str, kind: Kind = "internal", attributes: Attributes = NO_ATTRIBUTES) -> Span | None:
    """A child of the present span that its caller ends; what runs meanwhile is not put under it."""
    parent = _present.get()
    return None if parent is None or not parent.is_recorded else parent.child(name, kind, attributes)


def span(
    name: str, kind: Kind = "internal", attributes: Attributes = NO_ATTRIBUTES
) -> AbstractContextManager[Span | None]:
    """Around a block, in which it is the present one: a child of the present span; None without a trace."""
    begun = begin_span(name, kind, attributes)
    return _NOTHING if begun is None else _Within(begun)


def failure_of(error: BaseException) -> str:
    """What kind of failure an error is: its code, or its class."""
    if isinstance(error, RagstoneError):
        return error.code
    return "cancelled" if isinstance(error, asyncio.CancelledError) else type(error).__qualname__


class _Within:
    """A span that is the present one inside a block.

    A block of an async generator may be left by another task than the one that entered it, so the variable
    is put back by hand and not by its token.
    """

    def __init__(self, begun: Span) -> None:
        self._span = begun

    def __enter__(self) -> Span:
        self._before = _present.get()
        _present.set(self._span)
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if _present.get() is self._span:
            _present.set(self._before)
        if error is not None and not isinstance(error, GeneratorExit):
            self._span.fail(failure_of(error))
        self._span.end()


class Tracing:
    """Begins traces. Without a provider it does nothing."""

    def __init__(self, provider: TracerProvider | None = None, *, captures_content: bool = False) -> None:
        self._tracer = None if provider is None else provider.get_tracer("ragstone")
        self._captures_content = captures_content

    @property
    def is_on(self) -> bool:
        """Whether anything is traced."""
        return self._tracer is not None

    @contextmanager
    def door(
        self,
        name: str,
        kind: Kind = "internal",
        attributes: Attributes = NO_ATTRIBUTES,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
        link: str | None = None,
    ) -> Iterator[Span | None]:
        """Around all that one request does.

        Its parent is the trace that `headers` tell of, else the span that the program is in; `link` is the
        traceparent of a request that this work goes back to without being part of it.
        """
        if self._tracer is None:
            yield None
            return
        from opentelemetry import context, propagate
        from opentelemetry.trace import set_span_in_context

        parent = propagate.extract(headers, context.get_current())
        inner = self._tracer.start_span(
            name, parent, _kind(kind), attributes=_otel(attributes), links=_links(link)
        )
        begun = Span(self._tracer, inner, captures_content=self._captures_content)
        # Other instrumentation of the program hangs its spans under ours, too.
        token = context.attach(set_span_in_context(inner, parent))
        try:
            with _Within(begun):
                yield begun
        finally:
            context.detach(token)


OFF = Tracing()


def _links(traceparent: str | None) -> list[Link]:
    if traceparent is None:
        return []
    from opentelemetry.trace import Link, get_current_span
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    found = get_current_span(TraceContextTextMapPropagator().extract({TRACEPARENT: traceparent}))
    return [Link(found.get_span_context())]


def _kind(kind: Kind) -> SpanKind:
    from opentelemetry.trace import SpanKind

    return SpanKind[kind.upper()]


def _otel(attributes: Attributes) -> Mapping[str, AttributeValue]:
    return attributes
