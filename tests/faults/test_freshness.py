"""No cache serves what is older than an acknowledged write, or another reader's, whatever happens at once."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.freshness.checker import Foreign, Missing, Stale, Violation
from tests.faults.freshness.world import Scenario, World
from tests.faults.stateful.server import Flags
from tests.requirements import verifies
from tests.support.redis import running_redis

IS_LONG = os.environ.get("RAGSTONE_PROFILE") == "nightly"
OPERATIONS = 2_000_000 if IS_LONG else 20_000
PER_PHASE = 20_000 if IS_LONG else 10_000
"""Then what was noted is checked, and the logs begin anew."""
KILLS = 4
PLANTED_OPERATIONS = 3_000
LEAST_HITS = 0.3
LEAST_OVERLAP = 0.05


@verifies("CAC-03", "CAC-06", "CAC-07")
@pytest.mark.timeout(24 * 3_600 if IS_LONG else 300)
@pytest.mark.parametrize("behind", ["a file", "Redis"])
def test_no_response_is_older_than_the_last_acknowledged_write(tmp_path: Path, behind: str) -> None:
    """Searches, answers and streams by readers of two tenants, adds, replacements and removals through two
    processes on one home, some of them killed, and through a server on it; with one Redis behind the caches
    of all of them and without.
    """
    with ExitStack() as stack:
        flags: Flags = {}
        if behind == "Redis":
            redis = stack.enter_context(running_redis(tmp_path / "redis"))
            flags = {"cache.redis_url": redis.url}
        world = World(tmp_path, Scenario(flags=flags, has_door=True))
        for _ in range(OPERATIONS // 2 // PER_PHASE):
            world.work(PER_PHASE, KILLS)
        was_used = behind == "a file" or int(redis.answers("DBSIZE")) > 0

    tally = world.tally
    print(tally.figures)
    assert tally.total >= OPERATIONS // 2 * 0.9
    assert tally.hit_share >= LEAST_HITS
    assert tally.outcomes["evidence"], "a generation must be used again after an unrelated write"
    assert tally.overlapping >= LEAST_OVERLAP * tally.reads.total(), "writes must go on beside reads"
    assert len(tally.versions) > 20, "reads must see many versions"
    assert tally.lost, "a kill must cut off a write"
    assert tally.through_door > tally.total / 100
    assert {"search", "ask", "stream"} <= tally.reads.keys()
    assert was_used


@pytest.mark.parametrize(
    ("bug", "caught"),
    [
        ("no version", (Stale, Missing)),
        ("no tenant", Foreign),
        ("no access groups", (Foreign, Missing)),
        ("version beside the indexes", (Stale, Missing)),
    ],
)
def test_a_planted_bug_is_caught(
    tmp_path: Path, bug: str, caught: type[Violation] | tuple[type[Violation], ...]
) -> None:
    """The same work with a part taken out of the keys, or with a version read beside the indexes."""
    world = World(tmp_path, Scenario(bug=bug))

    with pytest.raises(caught):
        world.work(PLANTED_OPERATIONS)


@pytest.mark.parametrize("bug", [None, "no epoch"])
def test_a_restored_database_finds_nothing_of_the_one_before(tmp_path: Path, bug: str | None) -> None:
    """Versions run again from those of the copy, over a tier that remembers them; only the epoch differs."""
    world = World(tmp_path, Scenario(has_tier=True, bug=bug, write_share=0.03))
    world.work(600)
    backup, states = world.back_up(), world.states
    world.work(2_000)

    world.restore(backup, states)
    if bug is None:
        world.work(2_000)
    else:
        with pytest.raises(Violation):
            world.work(2_000)
