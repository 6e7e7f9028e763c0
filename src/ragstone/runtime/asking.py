"""Searching and answering, with what is noted of them."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TypeVar

from ragstone.analytics.answer_traces import AnswerTraces
from ragstone.analytics.asked import AskedSink
from ragstone.analytics.asked_log import AskedLog
from ragstone.analytics.asked_metrics import AskedMetrics
from ragstone.analytics.error_log import ErrorLog
from ragstone.analytics.follow_ups import AskedLately, followed_of
from ragstone.analytics.query_log import QueryLog
from ragstone.analytics.system_metrics import Figures, SystemSampler
from ragstone.analytics.tracker import QueryTracker
from ragstone.answer.admitted import AdmittedAnswers
from ragstone.answer.cached import CachingAnswers
from ragstone.answer.evidence import Evidence
from ragstone.answer.pipeline import AnswerPipeline
from ragstone.answer.recipes import Recipes
from ragstone.answer.semantic import SemanticCache
from ragstone.models.hardware import usable_cores
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
from ragstone.service.traces import TraceService
from ragstone.store.audit import CorpusCounts, corpus_counts
from ragstone.store.log_file import LogFile

SEARCHES_PER_CORE, LEAST_SEARCHES = 4, 8
"""More only wait for each other: at three times the capacity of two cores the p99 was 1.4 to 1.8 times that
at capacity with 8 places, 1.4 to 2.5 times with 16, 2.2 to 5.2 times with 32 (benchmarks/overload.py)."""
QUOTED_PER_CORE = 4
"""Without a generator an answer is all processor time, ten times a search's."""
GENERATIONS = 32
"""With one it is mostly waiting."""

KeeperT = TypeVar("KeeperT", AnswerTraces, QueryLog, QueryTracker)


@dataclass(frozen=True, slots=True)
class Asking:
    """Searching and answering, with what is noted of it."""

    search: SearchService
    answers: AnswerService
    queries: QueryService
    traces: TraceService
    repeater: Repeater
    load: Load
    lately: AskedLately
    log: QueryLog
    errors: ErrorLog


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
    load, tracker = Load(), _started(stack, QueryTracker(database, settings.cache, base.metrics))
    are_texts_kept = settings.analytics.store_text
    traces = AnswerTraces(database, settings.telemetry, base.metrics, are_texts_kept=are_texts_kept)
    _started(stack, traces)
    log = _started(stack, _query_log(base))
    errors = ErrorLog(log)
    sinks: list[AskedSink] = [
        AskedMetrics(base.metrics),
        AskedLog(settings.telemetry),
        traces,
        log.record,
        errors.note_asked,
    ]
    lately = AskedLately()
    if followed_of(settings.cache):
        sinks.append(lately)
    recorder = Recorder(tracker, load, longest, sinks=sinks)
    search = SearchService(found, settings.search, base.metrics, cache, recorder, places[0])
    caching = CachingAnswers(AdmittedAnswers(answered, places[1]), standings, cache, recipes)
    answers = AnswerService(caching, settings.answer, base.metrics, cache, recorder, places[1])
    answers_too = base.generator is None or settings.cache.warm_answers
    return Asking(
        search=search,
        answers=answers,
        queries=QueryService(database, tracker, log, settings, traces),
        traces=TraceService(database, traces),
        repeater=Repeater(search, answers, answers_too=answers_too),
        load=load,
        lately=lately,
        log=log,
        errors=errors,
    )


def _open_places(base: Base) -> tuple[Limiter, Limiter]:
    """The places of searches and of answers in the making."""
    limits, cores = base.settings.limits, usable_cores()
    searches = limits.max_concurrent_searches or max(LEAST_SEARCHES, SEARCHES_PER_CORE * cores)
    asks = GENERATIONS if base.generator is not None else QUOTED_PER_CORE * cores
    places = (
        Limiter("searches", searches, "limits.max_concurrent_searches"),
        Limiter("asks", limits.max_concurrent_asks or asks, "limits.max_concurrent_asks"),
    )
    base.guards.limiters.extend(places)
    return places


def _query_log(base: Base) -> QueryLog:
    model = None if base.generator is None else base.generator.model
    return QueryLog(LogFile(base.home.log), base.settings.analytics, base.metrics, model)


def _started(stack: AsyncExitStack, keeper: KeeperT) -> KeeperT:
    """It keeps what it is given until the stack is closed."""
    stack.push_async_callback(keeper.aclose)
    keeper.start()
    return keeper


def open_sampler(stack: AsyncExitStack, base: Base, log: QueryLog) -> SystemSampler:
    """What notes how the process is doing, once it is started."""

    async def corpus() -> CorpusCounts:
        async with base.database.read() as connection:
            return await corpus_counts(connection)

    figures = Figures(base.resources, base.cache.statistics, corpus)
    sampler = SystemSampler(log, figures, base.settings.analytics.metrics_every_s)
    stack.push_async_callback(sampler.aclose)
    return sampler
