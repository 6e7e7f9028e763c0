"""Whatever the legs say: the fusion is fair to both, in a stable order."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, strategies as st

from ragstone.search.fuse import fuse, interleave
from ragstone.types import Candidate, ChunkKey, Weights

legs = st.lists(st.integers(1, 30), unique=True, max_size=15).map(
    lambda keys: [Candidate(ChunkKey(key), 100.0 - at, 1.0 - at / 20) for at, key in enumerate(keys)]
)
weights = st.builds(Weights, st.floats(0, 100), st.floats(0, 100))
depths = st.integers(1, 200)


@given(lexical=legs, dense=legs, weights=weights, depth=depths)
def test_every_candidate_comes_once_in_a_total_order(
    lexical: list[Candidate], dense: list[Candidate], weights: Weights, depth: int
) -> None:
    """Best first, ties by key; the breakdown says where each stood."""
    fused = fuse(lexical, dense, weights, depth)

    assert {key for key, _ in fused} == {candidate.key for candidate in (*lexical, *dense)}
    assert [(-scores.fused, key) for key, scores in fused] == sorted(
        (-scores.fused, key) for key, scores in fused
    )
    for key, scores in fused:
        for leg, place in ((lexical, scores.lexical), (dense, scores.dense)):
            assert (place is None) == all(candidate.key != key for candidate in leg)
            assert place is None or (leg[place.rank - 1].key, leg[place.rank - 1].score) == (key, place.score)


@given(lexical=legs, dense=legs, weights=weights, depth=depths)
def test_swapping_legs_and_weights_changes_nothing(
    lexical: list[Candidate], dense: list[Candidate], weights: Weights, depth: int
) -> None:
    """No leg is privileged."""
    there = fuse(lexical, dense, weights, depth)
    back = fuse(dense, lexical, Weights(weights.dense, weights.lexical), depth)

    assert [(key, scores.fused) for key, scores in there] == [(key, scores.fused) for key, scores in back]


@given(leg=legs, other=legs, weights=weights, depth=depths, at=st.integers(0, 14))
def test_a_better_place_never_lowers_a_score(
    leg: list[Candidate], other: list[Candidate], weights: Weights, depth: int, at: int
) -> None:
    """A candidate that takes the place and score of the one before it does not fall."""
    if at + 1 >= len(leg):
        return
    worse, better = leg[at + 1], leg[at]
    swapped = [replace(better, key=worse.key), replace(worse, key=better.key)]
    moved = [*leg[:at], *swapped, *leg[at + 2 :]]

    before, after = dict(fuse(leg, other, weights, depth)), dict(fuse(moved, other, weights, depth))

    assert after[worse.key].fused >= before[worse.key].fused


@given(found=st.lists(legs, min_size=1, max_size=4), limit=st.integers(0, 40))
def test_interleaving_goes_by_rank(found: list[list[Candidate]], limit: int) -> None:
    """The n-th of every collection come before the (n+1)-th of any; at most `limit`, nothing invented."""
    apart = [
        [replace(candidate, key=ChunkKey(candidate.key + 100 * at)) for candidate in leg]
        for at, leg in enumerate(found)
    ]
    ranks = {candidate.key: rank for leg in apart for rank, candidate in enumerate(leg)}

    merged = interleave(apart, limit)

    placed = [ranks[candidate.key] for candidate in merged]
    assert placed == sorted(ranks.values())[:limit]
    assert len(merged) == len({candidate.key for candidate in merged}) == min(limit, len(ranks))
