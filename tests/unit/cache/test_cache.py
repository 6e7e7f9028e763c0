"""All caches over memory and a tier behind: what is found where, counted, cleared, and what never raises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import msgspec
import pytest

from ragstone.cache.cache import Cache, Cost, Kind, Limits, limits_of
from ragstone.cache.ports import Entry, TierStatistics
from ragstone.errors import CacheFailed
from ragstone.settings import CacheSettings

pytestmark = pytest.mark.anyio
LIMITS = {"answer": Limits(100.0, 100_000), "retrieval": Limits(100.0, 100_000)}
TEXT: Kind[str] = Kind("answer", msgspec.msgpack.encode, msgspec.msgpack.Decoder(str).decode)
NUMBER: Kind[int] = Kind("answer", msgspec.msgpack.encode, msgspec.msgpack.Decoder(int).decode)
OWN: Kind[str] = Kind("retrieval", msgspec.msgpack.encode, msgspec.msgpack.Decoder(str).decode, keep="here")


class HandClock:
    """A clock that stands still until it is set."""

    now_s = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now_s


class DictionaryTier:
    """Keeps entries in a dictionary; while `is_failing`, nothing works."""

    name = "dictionary"

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.asked: list[tuple[str, ...]] = []
        self.is_failing = False

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Payloads."""
        self._check()
        self.asked.append(tuple(keys))
        found = [self.entries.get(key) for key in keys]
        return [None if entry is None else entry.payload for entry in found]

    async def set_many(self, entries: Sequence[Entry]) -> None:
        """Keep."""
        self._check()
        self.entries |= {entry.key: entry for entry in entries}

    async def delete_many(self, keys: Sequence[str]) -> None:
        """Forget."""
        self._check()
        for key in keys:
            self.entries.pop(key, None)

    async def clear(self, pattern: str = "*", collection: str | None = None) -> int:
        """Forget all."""
        self._check()
        count = len(self.entries)
        self.entries.clear()
        return count

    async def statistics(self) -> TierStatistics:
        """Figures."""
        return TierStatistics(self.name, len(self.entries), 0, is_available=not self.is_failing)

    async def aclose(self) -> None:
        """Nothing is held."""

    def _check(self) -> None:
        if self.is_failing:
            raise CacheFailed("The dictionary was told to fail.")


def cache_of(tier: DictionaryTier | None = None, clock: HandClock | None = None) -> Cache:
    """A cache of two kinds."""
    return Cache(LIMITS, tier, clock=clock or HandClock())  # type: ignore[arg-type] # two names of five


def counts(cache: Cache) -> tuple[dict[str, int], int, int, int]:
    """Hits, misses, sets and errors of the answers."""
    found = next(row for row in cache.statistics() if row.name == "answer")
    return found.hits, found.misses, found.sets, found.errors


async def test_what_is_put_is_found_and_counted() -> None:
    """With what it saved; an unknown key is a miss."""
    cache = cache_of()

    cache.put(TEXT, "answer:1", "yes", cost=Cost(12.0, 30), collections=["a"])

    assert await cache.get_many(TEXT, ["answer:1", "answer:2"]) == ["yes", None]
    assert cache.peek(TEXT, "answer:1") == "yes"
    assert cache.peek(TEXT, "answer:2") is None
    assert counts(cache) == ({"memory": 2}, 1, 1, 0)
    answers = next(row for row in cache.statistics() if row.name == "answer")
    assert (answers.saved_ms, answers.saved_tokens, answers.entries) == (24.0, 60, 1)
    assert answers.hit_rate == pytest.approx(2 / 3)
    assert answers.lookup_s > 0
    assert 0 < answers.size_bytes < answers.max_bytes


async def test_what_is_touched_lives_as_long_as_what_is_read() -> None:
    """Ten touches make it popular and count as no look-up; what has ended cannot be touched."""
    clock = HandClock()
    cache = cache_of(clock=clock)
    cache.put(TEXT, "answer:1", "yes")
    cache.put(TEXT, "answer:2", "no")

    assert [cache.touch(TEXT, "answer:1") for _ in range(10)] == [True] * 10
    clock.now_s += 150

    assert (cache.touch(TEXT, "answer:1"), cache.touch(TEXT, "answer:2")) == (True, False)
    clock.now_s += 51
    assert not cache.touch(TEXT, "answer:1")
    assert counts(cache) == ({}, 0, 2, 0)


async def test_a_cache_that_is_off_keeps_nothing() -> None:
    """Nor does it count."""
    cache = Cache(limits_of(CacheSettings(enabled=False)))

    cache.put(TEXT, "answer:1", "yes")

    assert await cache.get(TEXT, "answer:1") is None
    assert not cache.is_on("answer")
    assert counts(cache) == ({}, 0, 0, 0)


async def test_the_tier_behind_answers_what_memory_lacks_and_is_asked_once() -> None:
    """And what it had is in memory afterwards."""
    tier = DictionaryTier()
    first, second = cache_of(tier), cache_of(tier)
    first.put(TEXT, "answer:1", "one")
    first.put(TEXT, "answer:2", "two")
    await first.aclose()
    second.put(TEXT, "answer:3", "three")

    wanted = ["answer:1", "answer:2", "answer:3", "answer:4"]
    assert await second.get_many(TEXT, wanted) == ["one", "two", "three", None]
    assert await second.get_many(TEXT, wanted[:3]) == ["one", "two", "three"]
    assert tier.asked == [("answer:1", "answer:2", "answer:4")]
    assert counts(second) == ({"memory": 4, "dictionary": 2}, 1, 1, 0)


async def test_a_kind_of_this_process_only_stays_in_it() -> None:
    """Neither kept behind nor looked for there."""
    tier = DictionaryTier()
    cache = cache_of(tier)

    cache.put(OWN, "retrieval:1", "mine")
    await cache.get(OWN, "retrieval:2")
    await cache.aclose()

    assert (tier.entries, tier.asked) == ({}, [])


async def test_an_entry_from_behind_lives_for_the_rest_of_its_own_time() -> None:
    """Not for the longer one of its cache, and not anew."""
    tier, clock = DictionaryTier(), HandClock()
    first, second = cache_of(tier, clock), cache_of(tier, clock)
    first.put(TEXT, "answer:1", "short", ttl_s=10)
    await first.aclose()
    clock.now_s += 9
    assert await second.get(TEXT, "answer:1") == "short"

    clock.now_s += 2

    assert await second.get(TEXT, "answer:1") is None


@pytest.mark.parametrize("payload", [b"", b"\xc1 no message", msgspec.msgpack.encode([1, 2])])
async def test_an_entry_that_cannot_be_read_is_a_miss(payload: bytes) -> None:
    """Damaged, foreign or of another version; it is counted."""
    tier = DictionaryTier()
    tier.entries["answer:1"] = Entry("answer:1", payload, 60)
    cache = cache_of(tier)

    assert await cache.get(TEXT, "answer:1") is None
    assert counts(cache) == ({}, 1, 0, 1)


async def test_a_value_of_another_kind_is_a_miss() -> None:
    """In memory, too; a new value takes its place."""
    cache = cache_of()
    cache.put(NUMBER, "answer:1", 7)

    assert await cache.get(TEXT, "answer:1") is None
    assert cache.peek(TEXT, "answer:1") is None
    cache.put(TEXT, "answer:1", "yes")
    assert await cache.get(TEXT, "answer:1") == "yes"
    assert counts(cache) == ({"memory": 1}, 1, 2, 2)


async def test_a_value_that_has_no_bytes_is_not_kept() -> None:
    """A number beyond 64 bits, as metadata may hold: the request has its result all the same."""
    cache = cache_of()

    cache.put(NUMBER, "answer:1", 2**70)

    assert await cache.get(NUMBER, "answer:1") is None
    assert counts(cache) == ({}, 1, 0, 1)


async def test_a_failing_tier_costs_hits_and_nothing_else() -> None:
    """Looking and keeping go on in memory; every failure is counted."""
    tier = DictionaryTier()
    tier.is_failing = True
    cache = cache_of(tier)

    cache.put(TEXT, "answer:1", "yes")
    assert await cache.get_many(TEXT, ["answer:1", "answer:2"]) == ["yes", None]
    with pytest.raises(CacheFailed):
        await cache.clear()

    assert await cache.get(TEXT, "answer:1") is None
    assert counts(cache) == ({"memory": 1}, 2, 1, 3)
    assert (await cache.tier_statistics()) == TierStatistics("dictionary", 0, 0, is_available=False)


async def test_clearing_counts_an_entry_once_and_waits_for_what_is_on_its_way() -> None:
    """Nothing that was put before the clearing is found after it, in memory or behind."""
    tier = DictionaryTier()
    cache = cache_of(tier)
    cache.put(TEXT, "answer:1", "yes")
    cache.put(TEXT, "answer:2", "no")

    assert await cache.clear() == 2

    assert tier.entries == {}
    assert await cache.get_many(TEXT, ["answer:1", "answer:2"]) == [None, None]


async def test_a_deleted_entry_does_not_come_back() -> None:
    """Though its way into the tier behind was not over."""
    tier = DictionaryTier()
    cache = cache_of(tier)
    cache.put(TEXT, "answer:1", "yes")

    await cache.delete("answer:1")
    await cache.aclose()

    assert await cache.get(TEXT, "answer:1") is None
    assert tier.entries == {}


@pytest.mark.parametrize(("keep", "lasts"), [("everywhere", True), ("behind", False)])
async def test_only_what_is_made_of_questions_lives_longer_when_it_is_popular(
    keep: Literal["everywhere", "behind"], lasts: bool
) -> None:
    """A program's own value ends when it was told to, in memory, too."""
    clock = HandClock()
    cache = Cache(LIMITS, clock=clock)  # type: ignore[arg-type] # two names of five
    kind = replace(TEXT, keep=keep)
    cache.put(kind, "answer:1", "now", ttl_s=10.0)
    for _ in range(12):
        assert await cache.get(kind, "answer:1") == "now"

    clock.now_s += 11.0

    assert (await cache.get(kind, "answer:1") == "now") is lasts
