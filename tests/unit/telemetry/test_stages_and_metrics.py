"""Stage timings are summed and handed on; metrics come out in the text format."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from ragstone.settings import TelemetrySettings
from ragstone.telemetry.logs import configure_logs
from ragstone.telemetry.metrics import Metrics
from ragstone.telemetry.stages import StageTimer


def test_a_stage_that_runs_twice_is_summed() -> None:
    """In order of first end, in milliseconds, with the total last."""
    timer = StageTimer("search")
    timer.add("lexical", 0.010)
    timer.add("dense", 0.020)
    timer.add("lexical", 0.005)

    timings = timer.timings_ms()

    assert list(timings) == ["lexical", "dense", "total"]
    assert (timings["lexical"], timings["dense"]) == (15.0, 20.0)


def test_every_run_of_a_stage_reaches_the_sink() -> None:
    """The histogram sees each run by itself, with its operation, also one that failed."""
    seen: list[tuple[str, str]] = []
    timer = StageTimer("search", lambda operation, stage, _seconds: seen.append((operation, stage)))

    def fail() -> None:
        with timer.stage("dense"):
            raise RuntimeError("no")

    with timer.stage("lexical"):
        pass
    with pytest.raises(RuntimeError, match="no"):
        fail()

    assert seen == [("search", "lexical"), ("search", "dense")]
    assert timer.timings_ms()["dense"] >= 0


def test_the_exposition_holds_what_was_counted() -> None:
    """Parsed by Prometheus' own parser: stages, documents and the version of the application."""
    metrics = Metrics("1.2.3")
    metrics.observe_stage("search", "lexical", 0.002)
    metrics.documents_written.labels("added").inc()
    metrics.corpus_version.set(7)

    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
    }

    stage = (("operation", "search"), ("stage", "lexical"))
    assert samples["ragstone_stage_duration_seconds_count", stage] == 1
    assert samples["ragstone_stage_duration_seconds_sum", stage] == pytest.approx(0.002)
    assert samples["ragstone_documents_written_total", (("status", "added"),)] == 1
    assert samples["ragstone_corpus_version", ()] == 7
    assert samples["ragstone_info", (("version", "1.2.3"),)] == 1


def test_two_engines_have_metrics_of_their_own() -> None:
    """What one counts does not move the other's."""
    one, other = Metrics("1"), Metrics("1")

    one.corpus_version.set(5)

    assert b"ragstone_corpus_version 5.0" in one.exposition()
    assert b"ragstone_corpus_version 0.0" in other.exposition()


@pytest.fixture
def _logs_put_back() -> Iterator[None]:
    """The configuration of logs is as it was when the test ends."""
    before = structlog.get_config()
    handlers = list(logging.getLogger().handlers)
    yield
    structlog.configure(**before)
    logging.getLogger().handlers[:] = handlers


@pytest.mark.usefixtures("_logs_put_back")
def test_logs_for_machines_are_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """With level and UTC time; below the level nothing is written."""
    configure_logs(TelemetrySettings(log_level="warning", log_format="json"))
    log = structlog.get_logger()

    log.info("quiet")
    log.warning("disk_full", free_bytes=7)

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line["level"], line["free_bytes"]) for line in lines] == [
        ("disk_full", "warning", 7)
    ]
    assert lines[0]["timestamp"].endswith("Z")


@pytest.mark.usefixtures("_logs_put_back")
@pytest.mark.parametrize(("log_format", "is_json"), [("console", False), ("auto", True)])
def test_people_get_lines_and_pipes_get_json(
    capsys: pytest.CaptureFixture[str], log_format: str, is_json: bool
) -> None:
    """Auto looks whether stderr is a terminal; a pipe is none."""
    configure_logs(TelemetrySettings.model_validate({"log_format": log_format}))

    structlog.get_logger().warning("disk_full")

    written = capsys.readouterr().err
    assert written.startswith("{") == is_json
    assert "disk_full" in written
