"""The library as a guest in somebody's program."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ragstone import Ragstone
from ragstone.errors import InvalidRequest
from tests.support.process import COMMAND_LIMIT_S, environment

PROGRAM = """
from ragstone import Ragstone

with Ragstone() as rag:
    rag.add_text("The lamp is lit.")
    print(rag.ask("Is the lamp lit?").text)
"""


STREAMING = """
import asyncio, json, sqlite3, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ragstone import AsyncRagstone
from ragstone.errors import InvalidRequest

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("program")

async def main():
    answers, inside = [], set()
    async with AsyncRagstone(settings={"cache.enabled": False}) as rag:
        await rag.add_text("The lamp is lit.")
        answers.append((await rag.ask("Is the lamp lit?")).answer_id)
        with tracer.start_as_current_span("program"):
            async for event in rag.stream("Is the lamp lit?"):
                inside.add(trace.get_current_span().name)
                last = event
        answers.append(last.answer.answer_id)
        half = rag.stream("Is the lamp lit?")
        await anext(half)
        await asyncio.create_task(half.aclose())
        try:
            [event async for event in rag.stream(" ")]
        except InvalidRequest as error:
            refused = error.code
        traces = [(await rag.trace(answer_id)).record.question for answer_id in answers]
    with sqlite3.connect(f"{sys.argv[1]}/log.db") as log:
        rows = log.execute("SELECT kind, door, answer_id, request_id FROM query_logs ORDER BY id").fetchall()
    spans = exporter.get_finished_spans()
    names = {span.context.span_id: span.name for span in spans}
    roots = [(span.name, names.get(span.parent and span.parent.span_id)) for span in spans]
    print(json.dumps({
        "answers": answers, "traces": traces, "rows": rows, "inside": sorted(inside), "refused": refused,
        "doors": [root for root in roots if root[0] == "ragstone ask"],
    }))

asyncio.run(main())
"""


def test_a_streamed_answer_is_noted_as_a_whole_one_is(home: Path) -> None:
    """A trace of the answer, a row with the door and a request of its own, a span; and the program's own
    span is the present one between two events.
    """
    done = run_program(STREAMING, home)

    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["traces"] == ["Is the lamp lit?"] * 2
    asked = [row for row in found["rows"] if row[2] in found["answers"]]
    assert [(kind, door) for kind, door, _, _ in asked] == [("ask", "python")] * 2
    assert len({request_id for *_, request_id in asked} - {None, ""}) == 2
    assert found["doors"] == [
        ["ragstone ask", None],
        ["ragstone ask", "program"],
        ["ragstone ask", None],
        ["ragstone ask", None],
    ]
    assert found["inside"] == ["program"]
    assert found["refused"] == "invalid_request"


def test_the_library_prints_nothing_of_its_own(home: Path) -> None:
    """Only what the program prints is on stdout, and stderr stays empty."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=COMMAND_LIMIT_S,
        check=False,
        env=environment(home, None),
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
    assert "The lamp is lit." in done.stdout


def run_program(program: str, home: Path) -> subprocess.CompletedProcess[str]:
    """A program of its own that uses the library; the home is its argument."""
    return subprocess.run(
        [sys.executable, "-c", program, str(home)],
        capture_output=True,
        text=True,
        timeout=COMMAND_LIMIT_S,
        check=False,
        env=environment(home, None),
    )


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda rag: rag.search(None), "query is None; it must be a text"),
        (lambda rag: rag.ask(b"Who?"), "query is b'Who\\?'; it must be a text"),
        (lambda rag: rag.add_text(b"x" * 100), r"text is b'x+\.\.\. \(bytes\); it must be a text"),
        (lambda rag: rag.search("lamp", top_k="5"), "top_k is '5'; it must be a whole number"),
        (lambda rag: rag.search("lamp", top_k=2.5), "top_k is 2.5; it must be a whole number"),
        (lambda rag: rag.search("lamp", collections=[1]), "collections is 1; it must be a text"),
        (lambda rag: rag.warm_caches(0), "top is 0; it must lie between 1 and 1000"),
    ],
)
def test_an_argument_of_the_wrong_kind_is_named(
    rag: Ragstone, call: Callable[[Any], object], said: str
) -> None:
    """A program without type checks is told what it gave and what is wanted, not where it broke."""
    with pytest.raises(InvalidRequest, match=said):
        call(rag)


def test_one_collection_may_be_named_by_itself(rag: Ragstone) -> None:
    """A name is not the list of its letters."""
    rag.add_text("The lamp is lit.", collection="lamps")

    assert rag.search("lamp", collections="lamps").hits[0].collection == "lamps"


@pytest.fixture(scope="module")
def rag(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ragstone]:
    """The library on a home of its own."""
    with Ragstone(tmp_path_factory.mktemp("library")) as rag:
        yield rag
