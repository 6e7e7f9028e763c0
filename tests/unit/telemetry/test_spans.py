"""Spans in one process: who hangs under whom, what an error leaves, what is free when nothing is traced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from ragstone.config import traces_environment
from ragstone.errors import GeneratorFailed, InvalidSetting
from ragstone.telemetry.spans import OFF, Tracing, present_span, present_trace_id, span
from ragstone.telemetry.stages import StageTimer


@pytest.fixture
def memory() -> InMemorySpanExporter:
    """What was exported."""
    return InMemorySpanExporter()


@pytest.fixture
def tracing(memory: InMemorySpanExporter) -> Tracing:
    """Traces that end in memory."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    return Tracing(provider)


def parents(memory: InMemorySpanExporter) -> dict[str, str | None]:
    """The name of each span's parent."""
    spans = memory.get_finished_spans()
    names = {found.context.span_id: found.name for found in spans}
    return {found.name: names.get(found.parent.span_id) if found.parent else None for found in spans}


def test_stages_that_run_side_by_side_hang_under_the_same_request(
    tracing: Tracing, memory: InMemorySpanExporter
) -> None:
    """And what they do under each of them."""
    timer = StageTimer("search")

    async def leg(name: str) -> None:
        with timer.stage(name):
            await asyncio.sleep(0)
            with span(f"SQL of {name}"):
                await asyncio.sleep(0)

    async def request() -> None:
        with tracing.door("GET /"):
            await asyncio.gather(leg("lexical"), leg("dense"))

    asyncio.run(request())

    assert parents(memory) == {
        "GET /": None,
        "search.lexical": "GET /",
        "search.dense": "GET /",
        "SQL of lexical": "search.lexical",
        "SQL of dense": "search.dense",
    }


def test_a_stage_of_a_generator_may_be_left_by_another_task(
    tracing: Tracing, memory: InMemorySpanExporter
) -> None:
    """As a streamed answer is: begun by the route, gone on with by the response."""
    timer = StageTimer("answer")

    async def answer() -> AsyncGenerator[int, None]:
        with timer.stage("generate"):
            yield 1
            yield 2

    async def request() -> str:
        async with aclosing(answer()) as parts:
            with tracing.door("POST /ask"):
                await anext(parts)

                async def rest() -> str:
                    async for _ in parts:
                        pass
                    found = present_span()
                    return "" if found is None else found.span_id

                return await asyncio.create_task(rest())

    seen = asyncio.run(request())

    root = next(found for found in memory.get_finished_spans() if found.name == "POST /ask")
    assert parents(memory)["answer.generate"] == "POST /ask"
    assert seen == f"{root.context.span_id:016x}"


def test_an_error_leaves_its_code_and_no_message(tracing: Tracing, memory: InMemorySpanExporter) -> None:
    """Messages may quote users and documents."""

    def fail() -> None:
        with tracing.door("request"), span("chat"):
            raise GeneratorFailed("The generator said: the patient's name is Heron.")

    with pytest.raises(GeneratorFailed):
        fail()

    for found in memory.get_finished_spans():
        assert found.status.status_code is StatusCode.ERROR
        assert dict(found.attributes or {}) == {"error.type": "generator_failed"}
        assert "Heron" not in found.to_json()


def test_without_a_trace_there_is_nothing() -> None:
    """No span, no id, and the doors go on."""
    with OFF.door("request") as root, span("stage") as stage:
        seen = (root, stage, present_span(), present_trace_id())

    assert seen == (None, None, None, "")


def test_a_request_that_is_not_sampled_makes_no_spans(memory: InMemorySpanExporter) -> None:
    """It has an id all the same, for the log."""
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))

    with Tracing(provider).door("request"), span("stage") as stage:
        trace_id = present_trace_id()

    assert stage is None
    assert int(trace_id, 16) > 0
    assert memory.get_finished_spans() == ()


@pytest.mark.parametrize(
    ("environ", "exporter", "captures_content"),
    [
        ({}, "none", False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, "otlp", False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, "none", False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, "none", False),
        ({"OTEL_TRACES_EXPORTER": "console"}, "console", False),
        (
            {
                "OTEL_TRACES_EXPORTER": "otlp",
                "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
            },
            "otlp",
            True,
        ),
    ],
)
def test_the_standard_variables_turn_traces_on(
    environ: dict[str, str], exporter: str, captures_content: bool
) -> None:
    """Off unless one of them says so; content only by its own switch."""
    found = traces_environment(environ)

    assert (found.exporter, found.captures_content) == (exporter, captures_content)


def test_an_exporter_that_there_is_none_of_is_refused() -> None:
    """With the value and what it may be."""
    with pytest.raises(InvalidSetting, match=r"'jaeger'.*'otlp'.*'console'"):
        traces_environment({"OTEL_TRACES_EXPORTER": "jaeger"})
