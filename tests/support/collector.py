"""A collector that takes OTLP over HTTP and keeps the spans for the test to look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from tests.support.serving import taking
from tests.support.waiting import wait_until

LIMIT_S = 60.0


@dataclass(frozen=True)
class Exported:
    """One span as it came over the wire."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int
    is_error: bool
    attributes: Mapping[str, object]
    links: tuple[tuple[str, str], ...]
    resource: Mapping[str, object]


@dataclass
class Collector:
    """What was exported so far; `raw` holds every body, for tests that look for words."""

    url: str = ""
    spans: list[Exported] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """What tells a process to export here, soon."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}

    def take(self, body: bytes) -> None:
        """Keep an export."""
        self.raw.append(body)
        request = ExportTraceServiceRequest.FromString(body)
        for resource_spans in request.resource_spans:
            resource = {pair.key: _value(pair.value) for pair in resource_spans.resource.attributes}
            for scope_spans in resource_spans.scope_spans:
                for span in scope_spans.spans:
                    self.spans.append(
                        Exported(
                            span.trace_id.hex(),
                            span.span_id.hex(),
                            span.parent_span_id.hex(),
                            span.name,
                            span.kind,
                            span.status.code == 2,
                            {pair.key: _value(pair.value) for pair in span.attributes},
                            tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
                            resource,
                        )
                    )

    def wait_for(self, name: str, trace_id: str | None = None) -> Exported:
        """The newest span of that name, once it was exported; roots end, and come, last."""

        def look() -> Exported | None:
            found = [span for span in self.spans if span.name == name and trace_id in (None, span.trace_id)]
            return found[-1] if found else None

        return wait_until(look, LIMIT_S)

    def trace(self, trace_id: str) -> list[Exported]:
        """Every span of one trace."""
        return [span for span in self.spans if span.trace_id == trace_id]

    def parents(self, trace_id: str) -> dict[str, set[str]]:
        """The names of the spans that each kind of span hangs under; a root's is empty."""
        spans = self.trace(trace_id)
        names = {span.span_id: span.name for span in spans} | {"": ""}
        found: dict[str, set[str]] = {}
        for span in spans:
            found.setdefault(span.name, set()).add(names.get(span.parent_id, "elsewhere"))
        return found


@contextmanager
def running_collector() -> Iterator[Collector]:
    """A collector on a port of its own."""
    collector = Collector()
    with taking(collector.take) as port:
        collector.url = f"http://127.0.0.1:{port}"
        yield collector


def _value(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    return None if kind is None else getattr(value, kind)
