"""Dashboards and rules: made from the registry, complete, and right by Prometheus' own tool."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from scripts.monitoring.dashboards import DASHBOARDS, build_dashboards, family_named
from scripts.monitoring.files import monitoring_files
from scripts.monitoring.panels import Json
from scripts.monitoring.promql import quantile
from scripts.monitoring.rules import ALERTS

from ragstone.telemetry import families
from ragstone.telemetry.families import FAMILIES
from tests.requirements import verifies

DEPLOY = Path(__file__).parents[2] / "deploy"
LIMIT_S = 60


def promtool(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Prometheus' own judge of rules."""
    program = shutil.which("promtool")
    assert program, "promtool is missing; `make test` installs it"
    return subprocess.run(
        [program, *words], cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


def test_the_files_are_those_that_the_registry_makes() -> None:
    """`make docs` was run after the last change."""
    for path, content in monitoring_files().items():
        assert (DEPLOY / path).read_text("utf-8") == content, path


@verifies("OBS-06")
def test_every_declared_metric_is_on_a_dashboard() -> None:
    """None is recorded that nobody sees, and no panel reads what is not declared."""
    shown = {family_named(name) for board in build_dashboards().values() for name in _names(board)}

    assert set(FAMILIES) == shown
    assert len(build_dashboards()) == len(DASHBOARDS) >= 6


@verifies("OBS-06")
def test_the_rules_are_right_and_every_alert_fires_and_is_silent() -> None:
    """promtool reads the rules, and plays a bad and a good example of each alert."""
    folder = DEPLOY / "prometheus"
    read = promtool("check", "rules", "alerts.yml", "recording.yml", folder=folder)
    played = promtool("test", "rules", "alerts_test.yml", folder=folder)

    assert read.returncode == 0, read.stdout + read.stderr
    assert played.returncode == 0, played.stdout + played.stderr
    assert len({alert.name for alert in ALERTS}) == len(ALERTS)


def test_an_alert_that_does_not_fire_is_found(tmp_path: Path) -> None:
    """The examples are played for real: with a limit that is never reached one of them fails."""
    shutil.copytree(DEPLOY / "prometheus", tmp_path / "rules")
    rules = tmp_path / "rules" / "alerts.yml"
    assert "> 900" in rules.read_text("utf-8")
    rules.write_text(rules.read_text("utf-8").replace("> 900", "> 900000"), "utf-8")

    played = promtool("test", "rules", "alerts_test.yml", folder=tmp_path / "rules")

    assert played.returncode != 0
    assert "RagstoneJobsWait" in played.stdout + played.stderr


def test_what_is_not_declared_cannot_be_asked_for() -> None:
    """A name without a family, and a quantile of what has none, are refused."""
    with pytest.raises(ValueError, match="ragstone_typo_total"):
        family_named("ragstone_typo_total")
    with pytest.raises(ValueError, match="no declared metric"):
        family_named("ragstone_jobs_total")
    with pytest.raises(ValueError, match="no quantiles"):
        quantile(0.5, families.JOBS)


def _names(board: Json) -> set[str]:
    from scripts.monitoring.dashboards import NAME

    return {
        name
        for panel in board["panels"]  # type: ignore[attr-defined]
        for target in panel["targets"]
        for name in NAME.findall(target["expr"])
    }
