"""Exporting traces: OpenTelemetry's SDK (extra `otel`), set up by its own environment variables."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

import structlog

from ragstone.config import traces_environment
from ragstone.telemetry.spans import OFF, Tracing

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

    from ragstone.config import TracesEnvironment
    from ragstone.settings import TelemetrySettings

log = structlog.get_logger(__name__)

CLOSE_LIMIT_S = 5.0
"""For the last export; a collector that is away loses it."""


@contextmanager
def open_tracing(settings: TelemetrySettings) -> Iterator[Tracing]:
    """Traces of this process, for doors that own it; what is left is exported at the end.

    The provider becomes the program's own, so that other instrumentation (MCP's) joins the same traces.

    Raises:
        InvalidSetting: the environment names an exporter that there is none of.
    """
    wanted = traces_environment()
    if wanted.exporter == "none":
        yield OFF
        return
    try:
        provider = _build_provider(wanted, settings)
    except ImportError as error:
        # No reason not to start: the variables may be there for every program of the machine.
        log.warning("traces_unavailable", missing=error.name, fix="pip install 'ragstone[otel]'")
        yield OFF
        return
    from opentelemetry import trace

    trace.set_tracer_provider(provider)
    try:
        yield Tracing(provider, captures_content=wanted.captures_content)
    finally:
        _close(provider)


def program_tracing() -> Tracing:
    """For use as a library: traces go where the program sends its own, and nowhere when it sends none."""
    if "opentelemetry.sdk.trace" not in sys.modules:
        return OFF
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        return OFF
    return Tracing(provider, captures_content=traces_environment().captures_content)


def _build_provider(wanted: TracesEnvironment, settings: TelemetrySettings) -> TracerProvider:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    told = {"service.version": version("ragstone"), "deployment.environment.name": settings.environment}
    named = {} if wanted.is_service_named else {"service.name": "ragstone"}
    provider = TracerProvider(resource=Resource.create({**told, **named}), shutdown_on_exit=False)
    provider.add_span_processor(_build_processor(wanted))
    return provider


def _build_processor(wanted: TracesEnvironment) -> SpanProcessor:
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

    if wanted.exporter == "console":
        # Not stdout: commands and MCP answer there.
        return BatchSpanProcessor(ConsoleSpanExporter(out=sys.stderr))
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return BatchSpanProcessor(OTLPSpanExporter())


def _close(provider: TracerProvider) -> None:
    """Export what is left; the SDK alone would wait half a minute for a collector that is away."""
    closing = threading.Thread(target=provider.shutdown, daemon=True)
    closing.start()
    closing.join(CLOSE_LIMIT_S)
