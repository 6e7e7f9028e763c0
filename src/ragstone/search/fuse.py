"""Fusing the legs by score or by rank, and one leg over several collections by rank (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ragstone.types import Candidate, ChunkKey, LegScore, ScoreBreakdown, Weights

Leg = Sequence[Candidate]
"""Candidates of one leg, best first."""


def fuse(lexical: Leg, dense: Leg, weights: Weights, depth: int) -> list[tuple[ChunkKey, ScoreBreakdown]]:
    """Rank candidates by the weighted mean of their shares in both legs (0..1), best first, ties by key.

    A chunk that one leg did not return counts there as the last one that it did return, which it cannot have
    beaten; as nothing when the leg gave fewer than the `depth` asked for, since then it found no word of the
    question in the chunk.

    Source: Bruch, Gai and Ingber, "An analysis of fusion functions for hybrid retrieval", TOIS 2023: a convex
    combination of scores, each scaled by what it can reach in theory, beats reciprocal rank fusion.
    """
    lexical_scores, dense_scores = _ranked(lexical), _ranked(dense)
    lexical_shares, dense_shares = _shares(lexical), _shares(dense)
    lexical_floor, dense_floor = _floor(lexical_shares, depth), _floor(dense_shares, depth)
    total = (weights.lexical if lexical else 0.0) + (weights.dense if dense else 0.0)
    fused: list[tuple[ChunkKey, ScoreBreakdown]] = []
    for key in dict.fromkeys([*lexical_scores, *dense_scores]):
        score = weights.lexical * lexical_shares.get(key, lexical_floor)
        score += weights.dense * dense_shares.get(key, dense_floor)
        mean = score / total if total > 0 else 0.0
        fused.append((key, ScoreBreakdown(lexical_scores.get(key), dense_scores.get(key), mean)))
    return sorted(fused, key=lambda pair: (-pair[1].fused, pair[0]))


def fuse_ranks(lexical: Leg, dense: Leg, weights: Weights, k: int) -> list[tuple[ChunkKey, ScoreBreakdown]]:
    """Rank candidates by the sum of `weight / (k + rank)` over the legs, best first, ties by key.

    Source: Cormack, Clarke and Büttcher, "Reciprocal rank fusion outperforms Condorcet and individual rank
    learning methods", SIGIR 2009 (k = 60).
    """
    lexical_scores, dense_scores = _ranked(lexical), _ranked(dense)
    fused: list[tuple[ChunkKey, ScoreBreakdown]] = []
    for key in dict.fromkeys([*lexical_scores, *dense_scores]):
        found = (lexical_scores.get(key), dense_scores.get(key))
        shares = zip((weights.lexical, weights.dense), found, strict=True)
        total = sum(weight / (k + leg.rank) for weight, leg in shares if leg is not None)
        fused.append((key, ScoreBreakdown(*found, total)))
    return sorted(fused, key=lambda pair: (-pair[1].fused, pair[0]))


def interleave(legs: Sequence[Leg], limit: int) -> list[Candidate]:
    """One leg over several collections: merged by rank, ties by share, then key; at most `limit`."""
    if len(legs) == 1:
        return list(legs[0][:limit])
    ranked = [(rank, candidate) for leg in legs for rank, candidate in enumerate(leg)]
    ranked.sort(key=lambda pair: (pair[0], -pair[1].share, pair[1].key))
    return [candidate for _, candidate in ranked[:limit]]


def _ranked(leg: Leg) -> Mapping[ChunkKey, LegScore]:
    return {
        candidate.key: LegScore(rank, candidate.score, candidate.share)
        for rank, candidate in enumerate(leg, start=1)
    }


def _shares(leg: Leg) -> Mapping[ChunkKey, float]:
    return {candidate.key: candidate.share for candidate in leg}


def _floor(shares: Mapping[ChunkKey, float], depth: int) -> float:
    return min(shares.values()) if len(shares) >= max(depth, 1) else 0.0
