"""A small bench on the real engine, and the text it is made of."""

from __future__ import annotations

import json
import os

import pytest

from ragstone.evaluate.bench import bench_table, bench_wire, run_bench
from ragstone.evaluate.machine import describe_machine, process_tree, resident_bytes
from ragstone.evaluate.made_up import MadeUp
from ragstone.evaluate.timing import latency_of
from ragstone.settings import Settings


@pytest.mark.anyio
async def test_a_bench_reports_every_mode_and_number_of_clients() -> None:
    """The report can be kept as JSON and shown as a table."""
    report = await run_bench(Settings(), chunk_count=12, query_count=3)

    wire = json.loads(json.dumps(bench_wire(report)))
    assert report.chunk_count == report.ingested_chunks == 12
    assert set(wire["search"]) == {"hybrid", "lexical", "dense"}
    assert set(wire["search"]["hybrid"]) == {"1_clients", "8_clients"}
    assert wire["resident_mb"] > 0
    assert bench_table(report).row_count == 7


def test_made_up_text_is_the_same_for_the_same_seed() -> None:
    """Runs on two machines search the same documents."""
    first, second = MadeUp(), MadeUp()

    assert list(first.documents(5)) == list(second.documents(5))
    assert first.questions(20) == second.questions(20)


def test_questions_differ_from_each_other() -> None:
    """A repeated question would be answered from the embedding cache."""
    assert len(set(MadeUp().questions(500))) == 500


def test_the_machine_is_described() -> None:
    """A figure without its machine says nothing."""
    machine = describe_machine()

    assert machine["processor"]
    assert machine["cores"]
    assert resident_bytes() > 0
    assert os.getpid() in process_tree(os.getpid())


def test_latency_is_told_by_median_and_tail() -> None:
    """Milliseconds from seconds; the rate is over all clients."""
    found = latency_of([0.001] * 99 + [0.1], 0.5)

    assert found.p50_ms == pytest.approx(1.0)
    assert found.wire()["per_second"] == 200.0
