"""`ragstone analytics`, with and without a server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet
import pytest

from tests.cli.conftest import Filled
from tests.requirements import verifies
from tests.support.process import run_command, run_in_terminal, running_server
from tests.support.waiting import wait_until

LIMIT_S = 60.0
QUESTION = "When does the library open?"
REPORTS = (
    "statistics",
    "questions",
    "documents",
    "relevance",
    "patterns",
    "clusters",
    "costs",
    "errors",
    "requests",
    "system",
)
EMPTY = ("--since", "2026-01-02", "--until", "2026-01-01")


@pytest.fixture(params=["in a process of its own", "through the server"])
def home(request: pytest.FixtureRequest, filled: Filled) -> Iterator[Path]:
    """The filled home, with or without a server on it, in whose log are an answer and a failure only."""
    with running_server(filled.home) if request.param.startswith("through") else nullcontext():
        assert run_command("queries", "erase", "--all", home=filled.home).exit_code == 0
        assert run_command("ask", QUESTION, home=filled.home).exit_code == 0
        assert run_command("search", "x", "-c", "nowhere", home=filled.home).exit_code == 3
        wait_until(lambda: True if len(requests_of(filled.home)) == 2 else None, LIMIT_S)
        yield filled.home


def requests_of(home: Path) -> list[dict[str, object]]:
    """What is logged, newest first."""
    found = run_command("analytics", "requests", "--json", home=home).json["requests"]
    assert isinstance(found, list)
    return found


def days_ago(days: int) -> str:
    """A time of UTC that is neither too old for the log nor for a report of the last week."""
    return (datetime.now(UTC) - timedelta(days=days)).replace(tzinfo=None).isoformat(timespec="seconds")


@verifies("ANA-02", "ANA-03", "ANA-04", "ANA-07")
def test_every_report_is_shown_in_eighty_columns_and_as_json(home: Path) -> None:
    """Tables that fit a terminal, and the same as on the wire of HTTP."""
    shown = {name: run_in_terminal("analytics", name, home=home, columns=80) for name in REPORTS}
    read = {name: run_command("analytics", name, "--json", home=home).json for name in REPORTS}

    assert {name: done.exit_code for name, done in shown.items()} == dict.fromkeys(REPORTS, 0)
    assert max(len(line) for done in shown.values() for line in done.stdout.splitlines()) <= 80
    assert (read["statistics"]["asked"], read["statistics"]["succeeded"]) == (2, 1)
    assert "1 succeeded (50.0%)" in shown["statistics"].stdout
    assert QUESTION in shown["questions"].stdout and "CollectionNotFound" in shown["errors"].stdout
    assert "No tokens were spent." in shown["costs"].stdout


@verifies("ANA-06")
def test_a_table_is_written_to_a_file(home: Path, tmp_path: Path) -> None:
    """Parquet to a file, CSV to stdout; of an export that fails no file is left."""
    target = tmp_path / "log.parquet"
    done = run_command("analytics", "export", "query_logs", "--format", "parquet", "-o", target, home=home)
    text = run_command("analytics", "export", "query_logs", home=home).stdout
    late = tmp_path / "late.csv"
    wrong = run_command("analytics", "export", "query_logs", "-o", late, *EMPTY, home=home)

    assert done.exit_code == 0, done.stderr
    assert pyarrow.parquet.read_table(target)["question"].to_pylist() == [QUESTION, "x"]
    assert text.splitlines()[0].startswith("time,id,at_ms,tenant_id") and QUESTION in text
    assert (wrong.exit_code, list(tmp_path.iterdir())) == (2, [target])


@verifies("OPS-12")
def test_a_file_of_another_system_is_taken_in(home: Path, tmp_path: Path) -> None:
    """CSV by mapped columns; a dry run adds nothing, a second run adds nothing again."""
    log = tmp_path / "old.csv"
    when = days_ago(1)
    log.write_text(f'asked,when,who\n"A, B\nor C?",{when},bob\n,{when[:10]},bob\nD?,never,bob\n', "utf-8")
    words = (
        "analytics",
        "import",
        log,
        "-m",
        "question=asked",
        "-m",
        "time=when",
        "-m",
        "user=who",
        "--json",
    )
    dry, first, again = (run_command(*words, *more, home=home).json for more in (["--dry-run"], [], []))
    erased = run_command("queries", "erase", "--user", "bob", "--json", home=home).json

    assert (dry["added"], first["added"], again["added"], again["known"]) == (1, 1, 0, 1)
    assert isinstance(first["refused"], list) and len(first["refused"]) == 2
    assert erased["logged"] == 1
    assert "question=user_input" in run_command("analytics", "import", log, "-m", "x", home=home).stderr


def test_a_log_without_a_file_name_is_refused(filled: Filled) -> None:
    """With the name that was given."""
    done = run_command("analytics", "import", "/nowhere.jsonl", home=filled.home)

    assert (done.exit_code, "/nowhere.jsonl" in done.stderr) == (3, True)


@verifies("ANA-07")
def test_tokens_and_costs_are_added_up(home: Path, tmp_path: Path) -> None:
    """Of imported requests, by model and by day; what has no cost is said."""
    rows = [
        {"question": "A?", "time": f"{days_ago(1)}Z", "model": "m1", "prompt_tokens": 900, "cost": 0.25},
        {
            "question": "B?",
            "time": f"{days_ago(1)}Z",
            "model": "m1",
            "completion_tokens": 100,
            "cost": 0.5,
        },
        {"question": "C?", "time": f"{days_ago(2)}Z", "model": "m2", "prompt_tokens": 7},
    ]
    log = tmp_path / "old.jsonl"
    log.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    assert run_command("analytics", "import", log, home=home).exit_code == 0
    found = run_command("analytics", "costs", "--json", home=home).json
    shown = run_command("analytics", "costs", home=home).stdout

    by_model = found["by_model"]
    assert isinstance(by_model, list)
    assert [(one["model"], one["cost"], one["unpriced"]) for one in by_model] == [
        ("m1", 0.75, 0),
        ("m2", None, 1),
    ]
    assert (found["prompt_tokens"], found["completion_tokens"], found["cost"]) == (907, 100, 0.75)
    assert "1 generations have no price" in shown
