"""What every request moves in the metrics."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ragstone.analytics.asked import Asked
    from ragstone.telemetry.metrics import Metrics

MADE_ANEW = ("off", "miss")
RETRIEVE = "retrieve"
"""The stage of an answer in which its passages are found."""


class AskedMetrics:
    """Moves the metrics of questions: a sink of the recorder."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        # Looking a series up by its labels takes longer than moving it.
        self._count = cache(metrics.questions.labels)
        self._seconds = cache(metrics.question_seconds.labels)
        self._hits = cache(metrics.question_hits.labels)
        self._scores = cache(metrics.top_score.labels)
        self._retrieval = cache(metrics.retrieval_seconds.labels)

    def __call__(self, asked: Asked) -> None:
        """Count one request."""
        operation = asked.asking.kind
        if asked.error_code is not None:
            self._metrics.question_errors.labels(operation, asked.error_code).inc()
            return
        self._count(operation, asked.cache).inc()
        self._seconds(operation, asked.cache).observe(asked.timings_ms["total"] / 1000)
        self._hits(operation).observe(asked.hit_count)
        if not asked.hit_count:
            self._metrics.questions_without_hits.labels(operation).inc()
        if asked.hits:
            self._scores(operation).observe(asked.hits[0].score)
        if asked.mode is not None:
            self._metrics.answers.labels(asked.mode).inc()
        for part in asked.degraded:
            self._metrics.degraded.labels(part).inc()
        if asked.cache in MADE_ANEW:
            spent_ms = _retrieval_ms(asked.timings_ms, operation)
            self._retrieval(operation).observe(spent_ms / 1000)


def _retrieval_ms(timings_ms: Mapping[str, float], operation: str) -> float:
    return timings_ms["total"] if operation == "search" else timings_ms.get(RETRIEVE, 0.0)
