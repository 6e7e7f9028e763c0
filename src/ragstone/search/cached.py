"""Searching with memory: the same request at the same version of its collections is answered once."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ragstone.cache.cache import Cost
from ragstone.cache.keys import key_of, rendered_key
from ragstone.cache.rendered import RENDERED, Rendering
from ragstone.cache.single_flight import Flights
from ragstone.deadline import Deadline
from ragstone.errors import DeadlineExceeded
from ragstone.search.record import RETRIEVAL
from ragstone.types import SearchRequest, SearchResult

if TYPE_CHECKING:
    from ragstone.cache.cache import Cache
    from ragstone.search.admitted import AdmittedSearch
    from ragstone.search.pipeline import SearchPipeline
    from ragstone.search.standing import Standing, Standings
    from ragstone.telemetry.stages import StageTimer

LONGEST_LOOK_S = 1.0
"""For a kept response; the request that goes its way without one has more time to wait for the indexes."""


class CachingSearch:
    """A search pipeline behind its cache; what degraded or changed meanwhile is not kept."""

    def __init__(
        self, pipeline: SearchPipeline | AdmittedSearch, standings: Standings, cache: Cache, recipe: str
    ) -> None:
        self._pipeline = pipeline
        self._standings = standings
        self._cache = cache
        self._recipe = recipe
        self._flights: Flights[SearchResult] = Flights()

    async def run(self, request: SearchRequest, deadline: Deadline, timer: StageTimer) -> SearchResult:
        """As `SearchPipeline.run`; `cache` says where the result came from.

        Raises:
            InvalidRequest: the query is empty or too long.
            CollectionNotFound: a named collection does not exist.
            DependencyFailed: no leg that the mode asks for gave an answer.
            DeadlineExceeded: the time is used up.
        """
        if not (request.use_cache and self._cache.is_on("retrieval")):
            timer.trail.decide("retrieval", "off", "asked" if not request.use_cache else "switched off")
            return await self._pipeline.run(request, deadline, timer)
        with timer.stage("cache"):
            standing = await self._standings.take(request, deadline)
            key = self._key(standing)
            found = await self._cache.get(RETRIEVAL, key)
        if found is not None:
            timer.trail.decide("retrieval", "hit")
            return replace(found, timings_ms=timer.timings_ms(), cache="hit")
        work = partial(self._make, standing, key, deadline, timer)
        while True:
            async with self._flights.join(key, work, deadline) as (flight, is_shared):
                try:
                    # Who began the work waits for what it says at its deadline.
                    items = flight.items(deadline if is_shared else Deadline.never())
                    async with aclosing(items) as results:
                        result = await anext(results)
                    break
                except DeadlineExceeded:
                    if not (is_shared and flight.was_cut_short(deadline)):
                        raise
        timer.trail.decide("retrieval", "shared" if is_shared else "miss")
        if is_shared:
            return replace(result, timings_ms=timer.timings_ms(), cache="shared")
        return replace(result, cache="miss")

    async def find_rendered(self, request: SearchRequest, form: str) -> Rendering | None:
        """The response that this request would have now, when it was made before in this form.

        It lives as long as the result that it shows.

        Raises:
            InvalidRequest: the query is empty or too long.
            CollectionNotFound: a named collection does not exist.
            DeadlineExceeded: the indexes did not catch up within a second.
        """
        standing = await self._standings.take(request, Deadline.after(LONGEST_LOOK_S))
        key = self._key(standing)
        found = self._cache.peek(RENDERED, rendered_key(key, form))
        return found if found is not None and self._cache.touch(RETRIEVAL, key) else None

    async def keep_rendered(
        self, request: SearchRequest, form: str, result: SearchResult, response: bytes
    ) -> None:
        """Keep the response for a result that is kept itself and still stands."""
        if result.cache != "hit" or result.degraded:
            return
        standing = await self._standings.take(request, Deadline.after(LONGEST_LOOK_S))
        if standing.corpus_version == result.corpus_version:
            key = rendered_key(self._key(standing), form)
            ids = standing.collection_ids
            kept = Rendering(response, len(result.hits))
            self._cache.put(RENDERED, key, kept, collections=ids)

    def _key(self, standing: Standing) -> str:
        return key_of("retrieval", standing.key(self._recipe))

    async def _make(
        self, standing: Standing, key: str, deadline: Deadline, timer: StageTimer
    ) -> AsyncGenerator[SearchResult, None]:
        began = time.perf_counter()
        result = await self._pipeline.run(standing.request, deadline, timer)
        is_of_version = result.corpus_version == standing.corpus_version and not result.degraded
        if is_of_version and await self._standings.has_held(standing):
            spent_ms = (time.perf_counter() - began) * 1000
            self._cache.put(RETRIEVAL, key, result, cost=Cost(spent_ms), collections=standing.collection_ids)
        yield result
