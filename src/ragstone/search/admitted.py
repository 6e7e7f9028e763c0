"""Searching with a bound on how much of it is under way; what the caches answer does not count."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ragstone.deadline import Deadline
    from ragstone.resilience.limiter import Limiter
    from ragstone.search.pipeline import SearchPipeline
    from ragstone.telemetry.stages import StageTimer
    from ragstone.types import SearchRequest, SearchResult


class AdmittedSearch:
    """A search pipeline with a number of places; whoever finds none is refused at once."""

    def __init__(self, pipeline: SearchPipeline, places: Limiter) -> None:
        self._pipeline = pipeline
        self._places = places

    async def run(self, request: SearchRequest, deadline: Deadline, timer: StageTimer) -> SearchResult:
        """As `SearchPipeline.run`.

        Raises:
            Overloaded: every place is taken.
        """
        with self._places.place():
            return await self._pipeline.run(request, deadline, timer)
