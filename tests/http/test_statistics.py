"""Times of operations, over HTTP, by command, in the library and in the log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2

from ragstone.entrypoints.python_blocking import Ragstone
from tests.http.test_documents import add
from tests.requirements import verifies
from tests.support.process import run_command, running_server
from tests.support.waiting import wait_until

LIMIT_S = 60.0
DRIVER = """
from types import SimpleNamespace

class NVMLError(Exception): ...

def nvmlInit(): ...
def nvmlDeviceGetCount(): return 1
def nvmlDeviceGetHandleByIndex(index): return index
def nvmlDeviceGetName(handle): return "Pretended"
def nvmlDeviceGetMemoryInfo(handle): return SimpleNamespace(used=1000, total=4000)
def nvmlDeviceGetUtilizationRates(handle): return SimpleNamespace(gpu=25)
"""
"""Stands where the driver's Python face is looked for."""
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


@verifies("OBS-08")
def test_an_operator_sees_what_the_machine_gives_and_what_was_slow(tmp_path: Path) -> None:
    """Processor, memory and a pretended GPU as metrics, samples and a summary; slow requests with stages."""
    home, driver = tmp_path / "home", tmp_path / "driver"
    driver.mkdir()
    (driver / "pynvml.py").write_text(DRIVER)
    settings = {
        "PYTHONPATH": str(driver),
        "RAGSTONE_ANALYTICS__METRICS_EVERY_S": "1",
        "RAGSTONE_TELEMETRY__SLOW_REQUEST_MS": "0.001",
    }
    with running_server(home, settings) as server:
        server.client.post("/v1/search", json={"query": "heron"}).raise_for_status()
        metrics = server.client.get("/metrics").text
        summary = server.client.get("/v1/metrics/summary").json()
        sampled = wait_until(lambda: _sampled(server.client) or None, LIMIT_S)
        slow = wait_until(lambda: _slow(tmp_path / "home-server.log") or None, LIMIT_S)

    assert _value(metrics, "ragstone_process_cpu_seconds_total") > 0
    assert _value(metrics, 'ragstone_process_resident_bytes{of="server"}') > 10 * 2**20
    assert _value(metrics, 'ragstone_gpu_memory_bytes{device="0: Pretended",state="used"}') == 1000
    assert _value(metrics, 'ragstone_gpu_memory_bytes{device="0: Pretended",state="total"}') == 4000
    assert _value(metrics, 'ragstone_gpu_busy_ratio{device="0: Pretended"}') == 0.25
    assert sampled["memory_bytes"] > 10 * 2**20 and sampled["gpu_memory_bytes"] == 1000
    assert summary["operations"]["search"]["count"] == 1
    assert slow["duration_ms"] > 0 and "lexical" in slow["stages_ms"]


def _sampled(client: httpx2.Client) -> Any:
    rows = client.get("/v1/analytics/system").json()["system"]
    return rows[0] if rows else None


def _slow(log: Path) -> Any:
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines() if '"slow_request"' in line]
    return next((line for line in lines if line.get("route") == "/v1/search"), None)


def _value(metrics: str, series: str) -> float:
    return next(
        float(line.rsplit(" ", 1)[1]) for line in metrics.splitlines() if line.startswith(f"{series} ")
    )
