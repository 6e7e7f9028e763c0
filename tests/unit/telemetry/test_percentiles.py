"""Percentiles of the newest values, counts of all."""

from __future__ import annotations

import asyncio

import pytest
import structlog
from hypothesis import given, strategies as st

from ragstone.telemetry.percentiles import MOST_NAMES, WINDOW, Percentiles
from ragstone.telemetry.performance import PerformanceReport


def test_count_and_mean_are_of_all_and_percentiles_of_the_newest() -> None:
    """2,000 values, of which the window holds the last 1,000."""
    found = Percentiles()
    for number in range(2 * WINDOW):
        found.observe("ask", "", number / 1000)

    figures = found.summary().operations["ask"]

    assert (figures.count, figures.min) == (2000, 0.0)
    assert figures.max == pytest.approx(1999)
    assert figures.mean == pytest.approx(999.5)
    assert (figures.p50, figures.p95, figures.p99) == pytest.approx((1499, 1949, 1989))


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300))
def test_a_percentile_is_a_value_that_so_many_are_not_above(values: list[float]) -> None:
    """The nearest rank, for any values."""
    found = Percentiles()
    for value in values:
        found.record("rows", value)

    figures = found.summary().custom["rows"]

    for share, value in ((0.5, figures.p50), (0.95, figures.p95), (0.99, figures.p99)):
        assert value in values
        assert sum(one <= value for one in values) >= share * len(values) - 1e-9
        assert sum(one < value for one in values) < share * len(values)


def test_names_tell_routes_stages_and_operations_apart() -> None:
    """And a failure counts with its code."""
    found = Percentiles()
    found.observe("POST", "/v1/ask", 0.001)
    found.observe("answer", "hydrate", 0.001)
    found.fail("ask", "", "store_failed")

    summary = found.summary()

    assert set(summary.operations) == {"POST /v1/ask", "answer.hydrate", "ask"}
    assert (summary.operations["ask"].count, summary.operations["ask"].errors) == (0, 1)
    assert summary.errors == {"store_failed": 1}


def test_a_reset_begins_anew_and_the_uptime_goes_on() -> None:
    """On a clock of the test's own."""
    present = [100.0]
    found = Percentiles(clock=lambda: present[0])
    found.record("rows", 1)
    present[0] = 110.0

    found.reset()
    present[0] = 112.0

    summary = found.summary()
    assert (summary.uptime_s, summary.since_s) == (12.0, 2.0)
    assert (summary.custom, summary.operations) == ({}, {})


def test_names_are_bounded_and_what_is_off_records_nothing() -> None:
    """A program that makes up names does not fill the memory."""
    found, off = Percentiles(), Percentiles(is_on=False)
    for number in range(MOST_NAMES + 5):
        found.record(f"name {number}", 1)
        off.record(f"name {number}", 1)

    assert len(found.summary().custom) == MOST_NAMES
    assert found.summary().dropped == 5
    assert off.summary().custom == {}


def test_the_report_tells_of_what_ran_since_the_last_one() -> None:
    """A line for each operation, none for one that rests."""
    found = Percentiles()
    report = PerformanceReport(found, 60)
    found.observe("ask", "", 0.002)
    found.record("rows", 5)

    with structlog.testing.capture_logs() as first:
        report.report()
    found.record("rows", 6)
    with structlog.testing.capture_logs() as second:
        report.report()

    assert [(line["event"], line["operation"], line["p50"]) for line in first] == [
        ("performance", "ask", 2.0),
        ("performance", "rows", 5.0),
    ]
    assert [line["operation"] for line in second] == ["rows"]


def test_a_report_ends_when_it_is_closed() -> None:
    """And begins only where it is wanted."""

    async def run() -> None:
        for every_s in (0.0, 60.0):
            report = PerformanceReport(Percentiles(), every_s)
            report.start()
            await report.aclose()

    asyncio.run(run())
