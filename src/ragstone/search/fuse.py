"""Weighted reciprocal rank fusion, over legs and over collections (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ragstone.types import Candidate, ChunkKey, LegScore, ScoreBreakdown, Weights

Leg = Sequence[Candidate]
"""Candidates of one leg, best first."""


def fuse(lexical: Leg, dense: Leg, weights: Weights, k: int) -> list[tuple[ChunkKey, ScoreBreakdown]]:
    """Rank candidates by the sum of `weight / (k + rank)` over the legs, best first, ties by key.

    Source: Cormack, Clarke and Büttcher, "Reciprocal rank fusion outperforms Condorcet and individual rank
    learning methods", SIGIR 2009 (k = 60).
    """
    lexical_scores, dense_scores = _ranked(lexical), _ranked(dense)
    fused = [
        (key, _breakdown(lexical_scores.get(key), dense_scores.get(key), weights, k))
        for key in dict.fromkeys([*lexical_scores, *dense_scores])
    ]
    return sorted(fused, key=lambda pair: (-pair[1].fused, pair[0]))


def interleave(legs: Sequence[Leg], limit: int) -> list[Candidate]:
    """One leg over several collections: merged by rank, ties by score, then key; at most `limit`.

    Scores of different collections come from different term statistics, so only ranks are comparable.
    """
    if len(legs) == 1:
        return list(legs[0][:limit])
    ranked = [(rank, candidate) for leg in legs for rank, candidate in enumerate(leg)]
    ranked.sort(key=lambda pair: (pair[0], -pair[1].score, pair[1].key))
    return [candidate for _, candidate in ranked[:limit]]


def _ranked(leg: Leg) -> Mapping[ChunkKey, LegScore]:
    return {candidate.key: LegScore(rank, candidate.score) for rank, candidate in enumerate(leg, start=1)}


def _breakdown(lexical: LegScore | None, dense: LegScore | None, weights: Weights, k: int) -> ScoreBreakdown:
    fused = 0.0
    if lexical is not None:
        fused += weights.lexical / (k + lexical.rank)
    if dense is not None:
        fused += weights.dense / (k + dense.rank)
    return ScoreBreakdown(lexical, dense, fused)
