"""The tier in memory: least recently used first out, bounded by bytes, popular entries live longer."""

from __future__ import annotations

import pytest

from ragstone.cache.memory import OVERHEAD_BYTES, MemoryTier


class HandClock:
    """A clock that stands still until it is set."""

    now_s = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now_s


SIZE = 1 + 100 + OVERHEAD_BYTES
"""Of an entry of 100 bytes under a key of one letter."""


def test_the_least_recently_used_goes_first() -> None:
    """Looking at an entry makes it recent; what was set first is not what goes."""
    tier = MemoryTier(3 * SIZE)
    for key in "abc":
        tier.set(key, bytes(100), 60)
    assert tier.get("a")

    tier.set("d", bytes(100), 60)

    assert [key for key in "abcd" if tier.get(key)] == ["a", "c", "d"]


def test_it_never_holds_more_than_its_bytes() -> None:
    """Whatever comes in whatever size; replacing counts once."""
    tier = MemoryTier(10 * SIZE)
    for at in range(500):
        tier.set(f"{at % 40}", bytes(at % 300), 60)
        assert tier.size_bytes <= 10 * SIZE
    assert tier.entries > 5


def test_what_is_larger_than_all_is_not_kept_and_nothing_old_is_left_under_its_key() -> None:
    """The others stay."""
    tier = MemoryTier(3 * SIZE)
    tier.set("a", b"old", 60)
    tier.set("b", b"other", 60)

    assert not tier.set("a", bytes(4 * SIZE), 60)

    assert tier.get("a") is None
    assert tier.get("b") == b"other"


def test_an_entry_without_time_replaces_nothing_by_nothing() -> None:
    """It is gone at once, and so is what was there."""
    tier = MemoryTier(3 * SIZE)
    tier.set("a", b"old", 60)

    assert not tier.set("a", b"new", 0)

    assert tier.get("a") is None


@pytest.mark.parametrize(("hits", "lives_s"), [(0, 100), (4, 100), (5, 150), (9, 150), (10, 200), (50, 200)])
def test_popular_entries_live_longer(hits: int, lives_s: float) -> None:
    """5 hits make 1.5 times the TTL, 10 hits twice."""
    clock = HandClock()
    tier = MemoryTier(3 * SIZE, clock)
    tier.set("a", b"payload", 100)
    for _ in range(hits):
        assert tier.get("a")

    clock.now_s += lives_s - 0.001
    assert tier.entries == 1
    clock.now_s += 0.002
    assert tier.get("a") is None
    assert (tier.entries, tier.size_bytes) == (0, 0)


def test_clearing_takes_what_matches() -> None:
    """By glob over keys, by collection, by both; expired entries do not count."""
    clock = HandClock()
    tier = MemoryTier(100 * SIZE, clock)
    for key, collections in {"answer:1": ("a",), "answer:2": ("a", "b"), "retrieval:1": ("b",)}.items():
        tier.set(key, b"payload", 60, collections)
    tier.set("answer:3", b"payload", 10, ("a",))
    clock.now_s += 20

    assert tier.clear("answer:*", "b") == 1
    assert tier.clear("answer:*") == 1
    assert tier.clear(collection="a") == 0
    assert tier.clear() == 1
    assert tier.entries == 0


def test_clearing_makes_nothing_recent() -> None:
    """An entry that stays is as old as before."""
    tier = MemoryTier(3 * SIZE)
    for key in "abc":
        tier.set(key, bytes(100), 60)

    tier.clear("c*")
    tier.set("d", bytes(100), 60)
    tier.set("e", bytes(100), 60)

    assert [key for key in "abde" if tier.get(key)] == ["b", "d", "e"]
