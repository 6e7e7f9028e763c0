"""Searching and answering, with what is noted of them."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragstone.analytics.asked_metrics import AskedMetrics
from ragstone.analytics.tracker import QueryTracker
from ragstone.answer.admitted import AdmittedAnswers
from ragstone.answer.cached import CachingAnswers
from ragstone.answer.evidence import Evidence
from ragstone.answer.pipeline import AnswerPipeline
from ragstone.answer.recipes import Recipes
from ragstone.answer.semantic import SemanticCache
from ragstone.operate.load import Load
from ragstone.resilience.limiter import Limiter
from ragstone.runtime.base import Base
from ragstone.search.admitted import AdmittedSearch
from ragstone.search.cached import CachingSearch
from ragstone.search.pipeline import SearchPipeline
from ragstone.search.standing import Standings
from ragstone.service.answers import AnswerService
from ragstone.service.queries import QueryService, Repeater
from ragstone.service.recording import Recorder
from ragstone.service.search import SearchService
from ragstone.settings import Settings
from ragstone.store.database import Database
from ragstone.telemetry.metrics import Metrics

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True)
class Asking:
    """Searching and answering, with what is noted of it."""

    search: SearchService
    answers: AnswerService
    queries: QueryService
    repeater: Repeater
    load: Load


def open_asking(stack: AsyncExitStack, base: Base) -> Asking:
    """Searching and answering over the base, each behind its cache."""
    settings, database, cache, embedder = base.settings, base.database, base.cache, base.embedder
    longest = settings.limits.query_max_chars
    standings = Standings(database, base.follower, longest)
    recipes = Recipes.of(settings, embedder)
    pipeline = SearchPipeline(database, base.follower, embedder, settings.search, standings)
    places = _open_places(base)
    admitted = AdmittedSearch(pipeline, places[0])
    found = CachingSearch(admitted, standings, cache, recipes.retrieval)
    semantic = SemanticCache(standings, cache, embedder, settings.cache, recipes.answer)
    evidence = Evidence(standings, cache, recipes.answer, semantic)
    answered = AnswerPipeline(database, found, embedder, base.generator, settings, evidence)
    load, tracker = Load(), _open_tracker(stack, database, settings, base.metrics)
    recorder = Recorder(tracker, load, longest, sinks=[AskedMetrics(base.metrics)])
    search = SearchService(found, settings.search, base.metrics, cache, recorder, places[0])
    caching = CachingAnswers(AdmittedAnswers(answered, places[1]), standings, cache, recipes)
    answers = AnswerService(caching, settings.answer, base.metrics, cache, recorder, places[1])
    answers_too = base.generator is None or settings.cache.warm_answers
    return Asking(
        search=search,
        answers=answers,
        queries=QueryService(database, tracker, settings),
        repeater=Repeater(search, answers, answers_too=answers_too),
        load=load,
    )


def _open_places(base: Base) -> tuple[Limiter, Limiter]:
    """The places of searches and of answers in the making."""
    limits = base.settings.limits
    places = (
        Limiter("searches", limits.max_concurrent_searches, "limits.max_concurrent_searches"),
        Limiter("asks", limits.max_concurrent_asks, "limits.max_concurrent_asks"),
    )
    base.guards.limiters.extend(places)
    return places


def _open_tracker(
    stack: AsyncExitStack, database: Database, settings: Settings, metrics: Metrics
) -> QueryTracker:
    tracker = QueryTracker(database, settings.cache, metrics)
    stack.push_async_callback(tracker.aclose)
    tracker.start()
    return tracker
