"""Fusion of two legs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from ragstone.search.fuse import fuse, fuse_ranks, interleave
from ragstone.types import Candidate, ChunkKey, Weights

legs = st.dictionaries(st.integers(1, 40), st.floats(0, 1), max_size=20).map(
    lambda scores: sorted(
        (Candidate(ChunkKey(key), score, score) for key, score in scores.items()),
        key=lambda found: -found.score,
    )
)


def leg(**scores: float) -> list[Candidate]:
    """Candidates named `k1`, `k2`, ... with their shares."""
    return [Candidate(ChunkKey(int(name[1:])), 10 * share, share) for name, share in scores.items()]


@settings(max_examples=200, deadline=None)
@given(legs, legs, st.floats(0, 5), st.floats(0, 5))
def test_every_candidate_is_ranked_once_between_0_and_1(
    lexical: list[Candidate], dense: list[Candidate], lexical_weight: float, dense_weight: float
) -> None:
    """Nothing is lost or doubled, and the order is that of the scores."""
    fused = fuse(lexical, dense, Weights(lexical_weight, dense_weight), 10)

    keys = [key for key, _ in fused]
    assert sorted(keys) == sorted({found.key for found in (*lexical, *dense)})
    scores = [breakdown.fused for _, breakdown in fused]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 + 1e-9 for score in scores)


@settings(max_examples=100, deadline=None)
@given(legs)
def test_a_leg_alone_keeps_its_order(dense: list[Candidate]) -> None:
    """A mode with one leg, or a leg that failed, changes nothing about the other."""
    positive = [found for found in dense if found.score > 0]
    distinct = list({found.score: found for found in positive}.values())

    fused = fuse([], distinct, Weights(), 10)

    assert [key for key, _ in fused] == [found.key for found in distinct]


def test_a_clear_lead_in_one_leg_outweighs_a_narrow_one_in_the_other() -> None:
    """Ranks would call this a tie: by score the lexical leg is sure and the dense one is not."""
    fused = fuse(leg(k1=0.8, k2=0.2), leg(k2=0.61, k1=0.60), Weights(), 10)

    assert [key for key, _ in fused] == [1, 2]


def test_a_leg_that_matched_little_of_the_question_has_little_say() -> None:
    """The best lexical chunk holds a tenth of what the question asks for; the dense leg decides."""
    fused = fuse(leg(k1=0.10, k2=0.05), leg(k2=0.70, k1=0.55), Weights(), 10)

    assert [key for key, _ in fused] == [2, 1]


def test_a_chunk_beyond_a_full_leg_counts_as_the_last_one_in_it() -> None:
    """It was cut off, not judged worthless; it cannot be better than the last one."""
    fused = dict(fuse(leg(k1=0.5, k2=0.4), leg(k3=0.5, k1=0.4), Weights(), 2))

    assert fused[ChunkKey(3)].fused == pytest.approx((0.4 + 0.5) / 2)
    assert fused[ChunkKey(3)].lexical is None


def test_a_chunk_that_a_leg_did_not_match_counts_as_nothing_there() -> None:
    """A leg that gave fewer than it was asked for has looked at everything."""
    fused = dict(fuse(leg(k1=0.5), leg(k3=0.5, k1=0.4), Weights(), 100))

    assert fused[ChunkKey(3)].fused == pytest.approx(0.25)


def test_collections_are_merged_by_rank() -> None:
    """The first of each collection, then the second; at one rank the larger share."""
    merged = interleave([leg(k1=0.4, k2=0.3), leg(k3=0.9, k4=0.2)], 3)

    assert [found.key for found in merged] == [3, 1, 2]


def test_ranks_are_fused_by_their_reciprocals() -> None:
    """The sum of weight / (k + rank) over the legs."""
    fused = dict(fuse_ranks(leg(k1=0.9, k2=0.8), leg(k2=0.7), Weights(2.0, 1.0), 60))

    assert fused[ChunkKey(1)].fused == pytest.approx(2 / 61)
    assert fused[ChunkKey(2)].fused == pytest.approx(2 / 62 + 1 / 61)
