"""Searching, with timings and counts to the metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragstone.analytics.asking import Asking
from ragstone.deadline import Deadline
from ragstone.search.pipeline import SearchPipeline
from ragstone.settings import SearchSettings
from ragstone.telemetry.stages import StageTimer

if TYPE_CHECKING:
    from ragstone.service.recording import Recorder
    from ragstone.telemetry.metrics import Metrics
    from ragstone.types import SearchRequest, SearchResult


class SearchService:
    """Answers search requests."""

    def __init__(
        self, pipeline: SearchPipeline, settings: SearchSettings, metrics: Metrics, recorder: Recorder
    ) -> None:
        self._pipeline = pipeline
        self._settings = settings
        self._metrics = metrics
        self._recorder = recorder

    async def search(
        self, request: SearchRequest, deadline: Deadline | None = None, *, is_tracked: bool = True
    ) -> SearchResult:
        """Search; without a deadline `search.timeout_s` holds. The question is counted when tracked.

        Raises:
            InvalidRequest: the query is empty or too long.
            CollectionNotFound: a named collection does not exist.
            DependencyFailed: no leg that the mode asks for gave an answer.
        """
        timer = StageTimer("search", self._metrics.observe_stage)
        limit = deadline or Deadline.after(self._settings.timeout_s)
        with self._recorder.answering(is_tracked=is_tracked):
            result = await self._pipeline.run(request, limit, timer)
        if is_tracked:
            self._recorder.record(Asking("search", request), len(result.hits))
        self._metrics.corpus_version.set(result.corpus_version)
        for part in result.degraded:
            self._metrics.degraded.labels(part).inc()
        return result
