"""Searching, with timings and counts to the metrics."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ragstone.analytics.asked import Asked
from ragstone.analytics.asking import Asking
from ragstone.cache.rendered import Rendered
from ragstone.deadline import Deadline
from ragstone.errors import RagstoneError
from ragstone.search.cached import CachingSearch
from ragstone.settings import SearchSettings
from ragstone.telemetry.stages import StageTimer

if TYPE_CHECKING:
    from ragstone.cache.cache import Cache
    from ragstone.resilience.limiter import Limiter
    from ragstone.service.recording import Recorder
    from ragstone.telemetry.metrics import Metrics
    from ragstone.types import SearchRequest, SearchResult


class SearchService:
    """Answers search requests."""

    def __init__(
        self,
        pipeline: CachingSearch,
        settings: SearchSettings,
        metrics: Metrics,
        cache: Cache,
        recorder: Recorder,
        places: Limiter,
    ) -> None:
        self._pipeline = pipeline
        self._settings = settings
        self._metrics = metrics
        self._cache = cache
        self._recorder = recorder
        self._places = places

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
        asking = Asking("search", request)
        with self._recorder.answering(is_tracked=is_tracked):
            try:
                result = await self._pipeline.run(request, limit, timer)
            except RagstoneError as error:
                if is_tracked:
                    self._recorder.record(
                        Asked(asking, timer.timings_ms(), error_code=error.code, error=error)
                    )
                raise
        if request.use_cache and (missing := self._cache.degraded()):
            result = replace(result, degraded=(*result.degraded, *missing))
        if is_tracked:
            self._recorder.record(_asked(asking, result))
        return result

    def check_room(self) -> None:
        """Go on only when another request could be worked on now: a cheap look before a costly reading.

        Raises:
            Overloaded: every place is taken.
        """
        self._places.check()

    async def find_rendered(self, request: SearchRequest, form: str) -> Rendered | None:
        """The kept response to a repeated request in one form; None when there is none.

        Raises:
            InvalidRequest: the question is empty or too long.
            NotFound: a named collection does not exist.
        """
        timer = StageTimer("search", self._metrics.observe_stage)
        with timer.stage("cache"):
            found = await self._pipeline.find_rendered(request, form)
        if found is None:
            return None
        rendered = Rendered(found.body, timer.timings_ms())
        again = Asked(Asking("search", request), rendered.timings_ms, found.hit_count, cache="hit")
        self._recorder.record(again)
        return rendered

    async def keep_rendered(
        self, request: SearchRequest, form: str, result: SearchResult, body: bytes
    ) -> None:
        """Keep a response for the next equal request."""
        await self._pipeline.keep_rendered(request, form, result, body)


def _asked(asking: Asking, result: SearchResult) -> Asked:
    return Asked(
        asking,
        result.timings_ms,
        len(result.hits),
        result.hits,
        cache=result.cache,
        degraded=result.degraded,
        corpus_version=result.corpus_version,
    )
