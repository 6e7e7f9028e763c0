"""Deleted text answers 0 times, acknowledged text is missing 0 times, whatever happens at once."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from tests.faults.stateful.history import Foreign, Missing, Stale
from tests.faults.stateful.world import COLLECTIONS, SOURCES, Step, Tally, World
from tests.requirements import verifies

IS_LONG = os.environ.get("RAGSTONE_PROFILE") == "nightly"
STEPS = 10_000 if IS_LONG else 500
EXAMPLES = 70 if IS_LONG else 3
RULES = 80
BETWEEN_CRASHES = 40
"""Steps; a start costs as much as ten of them."""

WEIGHTS = {
    "add": 3,
    "add by MCP": 1,
    "replace": 4,
    "edit": 3,
    "upload": 3,
    "follow": 2,
    "remove": 2,
    "remove by source": 1,
    "remove by metadata": 1,
    "remove collection": 1,
    "search": 7,
    "search by words": 7,
    "search by MCP": 1,
    "ask": 3,
    "read": 3,
    "read around": 3,
    "list": 1,
}
SEED = st.integers(0, 2**32)


class TwoServers(RuleBasedStateMachine):
    """Drives two servers on one home from several threads; subclasses say with which bug."""

    bug: ClassVar[str | None] = None
    tally: ClassVar[Tally]

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory(ignore_cleanup_errors=True)
        self.world = World(Path(self.folder.name) / "home", self.tally, self.bug)
        self.tally.examples += 1
        self.example = self.tally.examples
        self.done = 0
        self.crashed_at = 0

    def teardown(self) -> None:
        """After a run without a violation everything must agree."""
        try:
            self.guarded("finish")
        finally:
            self.world.close()
            self.folder.cleanup()

    def guarded(self, action: str, *arguments: object, **options: object) -> None:
        """An action. The first violation is noted, and nothing is done after it."""
        if self.tally.violations:
            raise self.tally.violations[0]
        try:
            getattr(self.world, action)(*arguments, **options)
        except AssertionError as violation:
            self.tally.violations.append(violation)
            raise

    @rule(seed=SEED)
    def one_thing(self, seed: int) -> None:
        """Nothing else goes on but background work."""
        self.guarded("run", *self.steps(seed, 1))

    @rule(seed=SEED, count=st.integers(2, 6))
    def many_things_at_once(self, seed: int, count: int) -> None:
        """From several threads, through both servers."""
        self.guarded("run", *self.steps(seed, count))

    @rule(seed=SEED, count=st.integers(2, 5))
    def many_things_to_one_document(self, seed: int, count: int) -> None:
        """The same, in one place."""
        first, *others = self.steps(seed, count)
        here = [replace(step, collection=first.collection, source=first.source) for step in others]
        self.guarded("run", first, *here)

    @precondition(lambda self: self.done - self.crashed_at >= BETWEEN_CRASHES)
    @rule(at=st.sampled_from([0, 1]), seed=SEED, count=st.integers(2, 6), loses_index=st.booleans())
    def crash(self, at: int, seed: int, count: int, loses_index: bool) -> None:
        """kill -9 in the middle of it."""
        self.guarded("crash", at, self.steps(seed, count), loses_index=loses_index)
        self.crashed_at = self.done

    @precondition(lambda self: self.done - self.crashed_at >= BETWEEN_CRASHES)
    @rule(at=st.sampled_from([0, 1]))
    def restart(self, at: int) -> None:
        """A clean end, and a new process on what it left."""
        self.guarded("restart", at)
        self.crashed_at = self.done

    @precondition(lambda self: self.done - self.crashed_at >= BETWEEN_CRASHES)
    @rule()
    def repair(self) -> None:
        """The indexes are built anew beside the servers."""
        self.guarded("repair")
        self.crashed_at = self.done

    def steps(self, seed: int, count: int) -> list[Step]:
        """Steps by weight. Hypothesis prefers small numbers and repeats them: each step has another seed."""
        chosen = []
        for _ in range(count):
            self.done += 1
            choice = random.Random(f"{seed} {self.done} {self.example}")
            (name,) = choice.choices(list(WEIGHTS), list(WEIGHTS.values()))
            collection = COLLECTIONS[choice.random() < 0.3]
            server, source = choice.randrange(2), choice.choice(SOURCES)
            chosen.append(Step(name, server, collection, source, choice.randrange(2**32)))
        return chosen


def machine(tally: Tally, bug: str | None = None) -> type[TwoServers]:
    """The machine that counts in `tally` and runs servers with a bug."""
    return type("Machine", (TwoServers,), {"tally": tally, "bug": bug})


def violation_of(tally: Tally, examples: int, bug: str | None = None) -> AssertionError | None:
    """Run the machine; the first violation. Hypothesis, which would repeat it, is not asked for its own."""
    # Nothing is shrunk: what happened at once does not happen again in the same way.
    bounds = settings(
        max_examples=examples,
        stateful_step_count=RULES,
        deadline=None,
        phases=[Phase.generate],
        derandomize=not IS_LONG,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(machine(tally, bug), settings=bounds)
    except (AssertionError, Flaky):
        if not tally.violations:
            raise
    return tally.violations[0] if tally.violations else None


@verifies("ING-18", "ING-19", "ING-22")
@pytest.mark.timeout(3_600 if IS_LONG else 300)
def test_deleted_text_never_answers_and_acknowledged_text_is_never_missing() -> None:
    """Adds, replacements, edits, deletes, uploads, searches, answers and passages from several threads
    through two servers on one home, with kills, restarts, lost indexes and repairs between them.
    """
    tally = Tally()

    violation = violation_of(tally, EXAMPLES)

    if violation is not None:
        raise violation
    assert tally.total >= STEPS
    assert tally.overlaps > tally.total / 3, "steps must run beside each other"
    assert tally.cut_off, "a kill must hit a request"
    assert WEIGHTS.keys() <= tally.steps.keys()
    assert {"crash", "crash, index lost", "restart", "repair"} <= tally.steps.keys()


@pytest.mark.parametrize(
    ("bug", "caught"),
    [("no predicate", Stale), ("no catch-up", Missing), ("reused keys", (Foreign, Missing))],
)
def test_a_planted_bug_is_caught(
    bug: str, caught: type[AssertionError] | tuple[type[AssertionError], ...]
) -> None:
    """Old text served by chunk key, a follower that passes over changes, chunk keys used again: the same
    steps on a server with the bug end in a violation.
    """
    tally = Tally()

    violation = violation_of(tally, EXAMPLES, bug)

    assert isinstance(violation, caught), violation
    assert tally.total <= STEPS
