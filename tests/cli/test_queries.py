"""`ragstone queries` and `ragstone cache warm`, with and without a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import pytest

from tests.cli.conftest import Filled
from tests.requirements import verifies
from tests.support.process import Finished, run_command, running_server
from tests.support.waiting import wait_until

Wire = dict[str, Any]
LIMIT_S = 60.0
QUESTION, OTHER = "When does the library open?", "Who lends books?"


@pytest.fixture(params=["in a process of its own", "through the server"])
def home(request: pytest.FixtureRequest, filled: Filled) -> Iterator[Path]:
    """The filled home, with or without a server on it, and nothing asked yet."""
    with running_server(filled.home) if request.param.startswith("through") else nullcontext():
        assert run_command("queries", "erase", "--all", home=filled.home).exit_code == 0
        yield filled.home


def listed(done: Finished, name: str = "queries") -> list[tuple[str, int]]:
    """Questions with their counts."""
    return [(one["query"], one["count"]) for one in cast("list[Wire]", done.json[name])]


@verifies("CAC-13", "CAC-14", "ANA-05")
@pytest.mark.usefixtures("one_day")
def test_what_commands_ask_is_counted_listed_warmed_and_erased(home: Path) -> None:
    """One command after the other: nothing of a command that has ended is lost."""
    for words in (("search", QUESTION), ("ask", QUESTION), ("search", OTHER)):
        assert run_command(*words, home=home).exit_code == 0
    wait_until(
        lambda: len(listed(run_command("queries", "popular", "--json", home=home))) == 2 or None, LIMIT_S
    )

    popular = run_command("queries", "popular", home=home).stdout
    today = run_command("queries", "popular", "--days", "1", "--text", "BOOKS", "--json", home=home)
    completed = run_command("queries", "complete", "when", "--json", home=home)
    similar = run_command("queries", "similar", "library open when?", "--json", home=home)
    statistics = run_command("queries", "statistics", home=home).stdout
    warmed = run_command("cache", "warm", "--top", "1", home=home).stdout
    erased = run_command("queries", "erase", QUESTION, home=home).stdout

    assert popular.index(QUESTION) < popular.index(OTHER)
    assert listed(today) == [(OTHER, 1)]
    assert listed(completed, "completions") == [(QUESTION, 2)]
    assert listed(similar) == [(QUESTION, 2)]
    assert "3 asked on the last 30 days" in statistics
    assert warmed.startswith("done: 1 of 1 questions warmed")
    assert erased.startswith("1 question erased, ")
    assert listed(run_command("queries", "popular", "--json", home=home)) == [(OTHER, 1)]


def test_erasing_asks_for_a_question_or_all(filled: Filled) -> None:
    """Neither and both are refused, so that nothing is erased by mistake."""
    for words in ((), (QUESTION, "--all")):
        refused = run_command("queries", "erase", *words, home=filled.home)
        assert (refused.exit_code, "--all" in refused.stderr) == (2, True)
