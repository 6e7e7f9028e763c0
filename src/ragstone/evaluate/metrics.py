"""Measures of a ranking against judgments (pure): nDCG, recall, reciprocal rank, intervals of a mean.

The definitions are trec_eval's, so figures compare with published ones: linear gain, log2 discount, and a
query without a relevant document is not counted by the caller.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Judgments = Mapping[str, int]
"""Document id to grade; above zero is relevant."""

RESAMPLES = 2_000
SEED = 7
BLOCK = 100
"""Resamples drawn at once: 100 x 10,000 queries are 8 MB."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the mean lies with 95 % confidence."""

    low: float
    high: float


def ndcg(ranking: Sequence[str], judgments: Judgments, k: int) -> float:
    """Gain of the first `k` documents, discounted by log2(rank + 1), over that of the best order; 0..1.

    Source: Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002, with
    linear gain as in trec_eval's ndcg_cut. Grades below zero count as zero.
    """
    ideal = _discounted(sorted(judgments.values(), reverse=True)[:k])
    if ideal == 0.0:
        return 0.0
    return _discounted([judgments.get(document, 0) for document in ranking[:k]]) / ideal


def recall(ranking: Sequence[str], judgments: Judgments, k: int) -> float:
    """Share of the relevant documents that are among the first `k`; 0..1."""
    relevant = {document for document, grade in judgments.items() if grade > 0}
    return len(relevant.intersection(ranking[:k])) / len(relevant) if relevant else 0.0


def reciprocal_rank(ranking: Sequence[str], judgments: Judgments, k: int) -> float:
    """One over the rank of the first relevant document among the first `k`; 0 when there is none."""
    for rank, document in enumerate(ranking[:k], start=1):
        if judgments.get(document, 0) > 0:
            return 1 / rank
    return 0.0


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean; 0 of nothing."""
    return math.fsum(values) / len(values) if values else 0.0


def interval_of_mean(values: Sequence[float]) -> Interval:
    """The 95 % percentile bootstrap interval of the mean, the same for the same values.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13. Cost: `RESAMPLES`
    draws of `len(values)`.
    """
    if not values:
        return Interval(0.0, 0.0)
    sample = np.asarray(values, np.float64)
    choose = np.random.default_rng(SEED)
    means = np.concatenate(
        [
            sample[choose.integers(0, len(sample), (BLOCK, len(sample)))].mean(axis=1)
            for _ in range(RESAMPLES // BLOCK)
        ]
    )
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(low), float(high))


def _discounted(gains: Sequence[int]) -> float:
    return math.fsum(max(gain, 0) / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))
