"""Answering with memory: the same question at the same version is answered once, and replayed as it came."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from uuid6 import uuid7

from ragstone.answer.events import AnswerEvent, Finished, Started
from ragstone.answer.record import ANSWER, AnswerRecord, tokens_of
from ragstone.cache.cache import Cost
from ragstone.cache.claims import LocalClaim
from ragstone.cache.keys import AnswerKey, key_of, rendered_key
from ragstone.cache.rendered import RENDERED, Rendering
from ragstone.cache.single_flight import Flights
from ragstone.deadline import Deadline
from ragstone.errors import DeadlineExceeded
from ragstone.search.cached import LONGEST_LOOK_S
from ragstone.types import Answer, AnswerId, AnswerRequest

if TYPE_CHECKING:
    from ragstone.answer.admitted import AdmittedAnswers
    from ragstone.answer.pipeline import AnswerPipeline
    from ragstone.answer.recipes import Recipes
    from ragstone.cache.cache import Cache
    from ragstone.search.standing import Standing, Standings
    from ragstone.telemetry.stages import StageTimer


class CachingAnswers:
    """An answer pipeline behind level 1 of its cache, with equal questions answered once at a time."""

    def __init__(
        self,
        pipeline: AnswerPipeline | AdmittedAnswers,
        standings: Standings,
        cache: Cache,
        recipes: Recipes,
    ) -> None:
        self._pipeline = pipeline
        self._standings = standings
        self._cache = cache
        self._recipes = recipes
        self._flights: Flights[AnswerEvent] = Flights()

    async def run(
        self, request: AnswerRequest, deadline: Deadline, timer: StageTimer
    ) -> AsyncGenerator[AnswerEvent, None]:
        """As `AnswerPipeline.run`: a kept answer comes as the same events, under an id of its own.

        Raises:
            InvalidRequest: the question is empty or too long.
            NotFound: a named collection does not exist.
        """
        if not (request.search.use_cache and self._cache.is_on("answer")):
            reason = "switched off" if request.search.use_cache else "asked"
            timer.trail.decide("answer", "off", reason)
            events = self._pipeline.run(request, deadline, timer)
        else:
            with timer.stage("cache"):
                standing = await self._standings.take(request.search, deadline)
                key = self._key(request, standing)
                found = await self._cache.get(ANSWER, key)
            if found is None:
                events = self._follow(
                    replace(request, search=standing.request), standing, key, deadline, timer
                )
            else:
                timer.trail.decide("answer", "hit")
                events = _replayed(found, timer)
        async with aclosing(events):
            async for event in events:
                yield event

    async def find_rendered(self, request: AnswerRequest, form: str) -> Rendering | None:
        """The response that this request would have now, when it was made before in this form.

        It lives as long as the answer that it shows.

        Raises:
            InvalidRequest: the question is empty or too long.
            NotFound: a named collection does not exist.
            DeadlineExceeded: the indexes did not catch up within a second.
        """
        standing = await self._standings.take(request.search, Deadline.after(LONGEST_LOOK_S))
        key = self._key(request, standing)
        found = self._cache.peek(RENDERED, rendered_key(key, form))
        return found if found is not None and self._cache.touch(ANSWER, key) else None

    async def keep_rendered(self, request: AnswerRequest, form: str, answer: Answer, response: bytes) -> None:
        """Keep the response for an answer that is kept itself and still stands."""
        if answer.cache != "hit" or answer.degraded:
            return
        standing = await self._standings.take(request.search, Deadline.after(LONGEST_LOOK_S))
        if standing.corpus_version == answer.corpus_version:
            key = rendered_key(self._key(request, standing), form)
            ids = standing.collection_ids
            kept = Rendering(response, len(answer.hits), answer.answer_id)
            self._cache.put(RENDERED, key, kept, collections=ids)

    def _key(self, request: AnswerRequest, standing: Standing) -> str:
        key = AnswerKey(standing.key(self._recipes.retrieval), request.temperature, self._recipes.answer)
        return key_of("answer", key)

    async def _follow(
        self,
        request: AnswerRequest,
        standing: Standing,
        key: str,
        deadline: Deadline,
        timer: StageTimer,
    ) -> AsyncGenerator[AnswerEvent, None]:
        """The events of the answer to this request that is under way, or is begun here."""
        answer_id = AnswerId(str(uuid7()))
        work = partial(self._make, request, standing, key, deadline, timer)
        is_begun = False
        while True:
            async with self._flights.join(key, work, deadline) as (flight, is_shared):
                timer.trail.decide("answer", "shared" if is_shared else "miss")
                try:
                    # Who began the work waits for what it says at its deadline.
                    items = flight.items(deadline if is_shared else Deadline.never())
                    async with aclosing(items) as events:
                        async for event in events:
                            is_begun = True
                            yield _own(event, answer_id, timer) if is_shared else event
                    return
                except DeadlineExceeded:
                    if is_begun or not (is_shared and flight.was_cut_short(deadline)):
                        raise

    async def _make(
        self,
        request: AnswerRequest,
        standing: Standing,
        key: str,
        deadline: Deadline,
        timer: StageTimer,
    ) -> AsyncGenerator[AnswerEvent, None]:
        """The events of the answer, made here unless another process is making it and ends in time."""
        claim = await self._cache.claims.claim(key)
        while claim is None:
            with timer.stage("wait"):
                is_free = await self._cache.claims.wait(key, deadline)
            found = await self._cache.get(ANSWER, key)
            if found is not None:
                timer.trail.decide("answer", "hit", "made by another process meanwhile")
                async for event in _replayed(found, timer):
                    yield event
                return
            claim = await self._cache.claims.claim(key) if is_free else LocalClaim()
        try:
            async with aclosing(self._made(request, standing, key, deadline, timer)) as events:
                async for event in events:
                    yield event
            # Whoever waits for the claim looks there next.
            await self._cache.written()
        finally:
            await claim.release()

    async def _made(
        self,
        request: AnswerRequest,
        standing: Standing,
        key: str,
        deadline: Deadline,
        timer: StageTimer,
    ) -> AsyncGenerator[AnswerEvent, None]:
        began = time.perf_counter()
        said: list[AnswerEvent] = []
        async with aclosing(self._pipeline.run(request, deadline, timer)) as events:
            async for event in events:
                said.append(event)
                if isinstance(event, Finished):
                    # Before the end is told: whoever has seen it finds the answer kept.
                    await self._keep(said, standing, key, time.perf_counter() - began)
                yield event

    async def _keep(self, said: list[AnswerEvent], standing: Standing, key: str, spent_s: float) -> None:
        record = AnswerRecord.of(said)
        if record is None or record.corpus_version != standing.corpus_version:
            return
        if not await self._standings.has_held(standing):
            return
        cost = Cost(spent_s * 1000, tokens_of(record.usage))
        self._cache.put(ANSWER, key, record, cost=cost, collections=standing.collection_ids)


async def _replayed(record: AnswerRecord, timer: StageTimer) -> AsyncGenerator[AnswerEvent, None]:
    answer_id = AnswerId(str(uuid7()))
    timer.trail.repeats = record.answer_id
    number = 0
    for event in record.replay(answer_id):
        number += 1
        yield replace(event, seq=number)
    yield Finished(number + 1, record.answer(answer_id, timer.timings_ms(), "hit"))


def _own(event: AnswerEvent, answer_id: AnswerId, timer: StageTimer) -> AnswerEvent:
    """An event of shared work as this follower tells it."""
    if isinstance(event, Started):
        timer.trail.repeats = event.answer_id
        return replace(event, answer_id=answer_id)
    if isinstance(event, Finished):
        answer = replace(event.answer, answer_id=answer_id, timings_ms=timer.timings_ms(), cache="shared")
        return replace(event, answer=answer)
    return event
