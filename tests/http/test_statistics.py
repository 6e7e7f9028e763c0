"""Times of operations, over HTTP, by command, in the library and in the log."""

from __future__ import annotations

from pathlib import Path

from ragstone.entrypoints.python_blocking import Ragstone
from tests.http.test_documents import add
from tests.requirements import verifies
from tests.support.process import run_command, running_server
from tests.support.waiting import wait_until

LIMIT_S = 60.0
TEXT = "# Hours\n\nThe heronry opens at seven."


@verifies("OBS-07")
def test_operations_are_counted_and_timed_until_they_are_reset(tmp_path: Path) -> None:
    """Routes, questions and stages with percentiles; errors by code; the command and HTTP show the same."""
    home = tmp_path / "home"
    with running_server(home) as server:
        add(server.client, "default", TEXT)
        for number in range(3):
            server.client.post("/v1/ask", json={"question": f"When does it open, {number}?"})
        server.client.post("/v1/search", json={"query": "x", "collections": ["none"]})

        found = server.client.get("/v1/metrics/summary").raise_for_status().json()
        shown = run_command("stats", home=home).stdout
        by_command = run_command("stats", "--reset", "--json", home=home).json
        after = server.client.get("/v1/metrics/summary").json()

    asked = found["operations"]["ask"]
    assert (asked["count"], asked["errors"]) == (3, 0)
    assert 0 < asked["min"] <= asked["p50"] <= asked["p95"] <= asked["p99"] <= asked["max"]
    assert found["operations"]["POST /v1/ask"]["count"] == 3
    assert found["operations"]["answer.hydrate"]["count"] == 3
    assert found["errors"] == {"collection_not_found": 1}
    assert "answer.hydrate" in shown and "1 collection_not_found" in shown
    assert by_command["errors"] == found["errors"]
    assert "ask" not in after["operations"]
    assert after["uptime_s"] > after["since_s"]


@verifies("OBS-07")
def test_a_program_records_values_of_its_own(tmp_path: Path) -> None:
    """Beside those of the library's operations."""
    with Ragstone(tmp_path / "home") as rag:
        rag.add_text(TEXT)
        rag.ask("When does the heronry open?")
        for rows in (3, 5, 8):
            rag.statistics.record("import.rows", rows)

        found = rag.statistics.summary()
        rag.statistics.reset()

        assert (found.custom["import.rows"].count, found.custom["import.rows"].p50) == (3, 5.0)
        assert found.operations["ask"].count == 1
        assert rag.statistics.summary().custom == {}


@verifies("OBS-07")
def test_a_report_comes_on_an_interval_and_all_of_it_can_be_off(tmp_path: Path) -> None:
    """As `performance` lines in the log; without percentiles the summary says how to have them."""
    home, log = tmp_path / "home", tmp_path / "home-server.log"
    with running_server(home, {"RAGSTONE_TELEMETRY__REPORT_EVERY_S": "0.05"}) as server:
        server.client.post("/v1/search", json={"query": "heron"})

        def reported() -> bool | None:
            lines = log.read_text("utf-8").splitlines()
            return any('"performance"' in line and '"search"' in line for line in lines) or None

        assert wait_until(reported, LIMIT_S)
    with running_server(home, {"RAGSTONE_TELEMETRY__PERCENTILES": "false"}) as server:
        refused = server.client.get("/v1/metrics/summary")
        assert (refused.status_code, "telemetry.percentiles" in refused.json()["detail"]) == (404, True)
