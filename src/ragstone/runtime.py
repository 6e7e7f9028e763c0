"""Builds everything from settings, as one context manager that closes in reverse order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import structlog
from anyio import to_thread

from ragstone.analytics.tracker import QueryTracker
from ragstone.answer.cached import CachingAnswers
from ragstone.answer.evidence import Evidence
from ragstone.answer.pipeline import AnswerPipeline
from ragstone.answer.recipes import Recipes
from ragstone.answer.semantic import SemanticCache
from ragstone.cache.cache import Cache, limits_of
from ragstone.cache.shared import SharedCache, open_shared_cache
from ragstone.config import Loaded
from ragstone.errors import InvalidSetting, NotReady
from ragstone.home import Home, open_home
from ragstone.index.follower import IndexFollower, open_follower
from ragstone.index.slot import Slot, take_slot
from ragstone.index.vector import ParallelProducts
from ragstone.ingest.checkpoint import Checkpoints
from ragstone.ingest.limits import ParsingLimits
from ragstone.ingest.parse import build_parser
from ragstone.ingest.pipeline import IngestPipeline
from ragstone.ingest.queue import JobQueue
from ragstone.ingest.sources.open import SourceLimits, SourceOpener
from ragstone.ingest.sources.runs import SyncRunner
from ragstone.ingest.sources.sync import SyncLimits
from ragstone.ingest.upkeep import WorkerParts
from ragstone.ingest.worker import JobWorker
from ragstone.ingest.write import Writer
from ragstone.models.batching import BatchingLimits, LocalEmbedder
from ragstone.models.card import BUNDLED_FOLDER
from ragstone.models.embedding_cache import CachingEmbedder
from ragstone.models.hardware import usable_cores
from ragstone.models.local import LocalModelOptions, open_local_embedder
from ragstone.models.unavailable import UnavailableEmbedder
from ragstone.net.fetch import Fetcher, FetchLimits
from ragstone.net.guard import AddressGuard, FetchRules, SystemResolver
from ragstone.operate.check import Checker
from ragstone.operate.health import Health
from ragstone.operate.load import Load
from ragstone.operate.warm import Warmer, WarmingParts
from ragstone.search.cached import CachingSearch
from ragstone.search.pipeline import SearchPipeline
from ragstone.search.standing import Standings
from ragstone.service.answers import AnswerService
from ragstone.service.caches import CacheService
from ragstone.service.chunks import ChunkService
from ragstone.service.collections import CollectionService
from ragstone.service.documents import DocumentService
from ragstone.service.intake import JobIntake
from ragstone.service.jobs import JobService
from ragstone.service.queries import QueryService, Repeater
from ragstone.service.recording import Recorder
from ragstone.service.search import SearchService
from ragstone.service.sources import SourceParts, SourceService
from ragstone.settings import Settings
from ragstone.store.blobs import Blobs
from ragstone.store.database import Database, open_database
from ragstone.store.incoming import Incoming
from ragstone.telemetry.metrics import Metrics
from ragstone.types import DEFAULT_COLLECTION, DEFAULT_TENANT

if TYPE_CHECKING:
    from ragstone.cache.ports import Tier
    from ragstone.models.ports import Embedder, Generator

log = structlog.get_logger(__name__)

SHUTDOWN_GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class Engine:
    """The running product: what every door calls."""

    settings: Settings
    home: Home
    documents: DocumentService
    collections: CollectionService
    chunks: ChunkService
    jobs: JobService
    worker: JobWorker
    sources: SourceService
    search: SearchService
    answers: AnswerService
    caches: CacheService
    queries: QueryService
    warmer: Warmer
    checker: Checker
    health: Health
    metrics: Metrics
    embedder: Embedder
    follower: IndexFollower
    database: Database


@dataclass(frozen=True, slots=True)
class _Base:
    """What everything else stands on."""

    settings: Settings
    home: Home
    slot: Slot
    database: Database
    follower: IndexFollower
    embedder: Embedder
    generator: Generator | None
    cache: Cache
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class _Asking:
    """Searching and answering, with what is noted of it."""

    search: SearchService
    answers: AnswerService
    queries: QueryService
    repeater: Repeater
    load: Load


@asynccontextmanager
async def open_engine(
    loaded: Loaded,
    embedder: Embedder | None = None,
    generator: Generator | None = None,
    tier: Tier | None = None,
) -> AsyncIterator[Engine]:
    """Open the home, migrate, catch the indexes up, load the model; close all of it at the end.

    `embedder`, `generator` and `tier` stand in for the configured ones, and are closed as those would be.

    Raises:
        HomeMismatch: the home is of another version or damaged.
        InvalidSetting: the generator's settings do not fit together.
    """
    settings = loaded.settings
    async with AsyncExitStack() as stack:
        base = await _open_base(stack, loaded, embedder, generator, tier)
        database, follower, metrics = base.database, base.follower, base.metrics
        parser = build_parser(ParsingLimits.from_settings(settings.ingest))
        stack.push_async_callback(parser.aclose)
        blobs = Blobs(base.home.blobs)
        writer = Writer(database, follower)
        ingest = IngestPipeline(database, writer, parser, base.embedder, blobs, settings.ingest)
        asking = _open_asking(stack, base)
        documents = DocumentService(database, writer, ingest, metrics)
        checkpoints = Checkpoints(base.home.checkpoints, version("ragstone"))
        parts = WorkerParts(database, documents, blobs, checkpoints, metrics)
        incoming, worker = _open_worker(stack, settings, base.home, parts)
        jobs = JobService(parts, worker, JobQueue(parts, incoming, settings.ingest), follower)
        sources = _build_sources(stack, settings, base.home, parts, JobIntake(documents, jobs, worker))
        warming = WarmingParts(database, asking.repeater, asking.load, worker, metrics)
        engine = Engine(
            settings=settings,
            home=base.home,
            documents=documents,
            collections=CollectionService(database, writer, ingest, documents),
            chunks=ChunkService(database, ingest.preparation, metrics),
            jobs=jobs,
            worker=worker,
            sources=sources,
            search=asking.search,
            answers=asking.answers,
            caches=CacheService(base.cache, follower),
            queries=asking.queries,
            warmer=_open_warmer(stack, warming, settings),
            checker=Checker(database, follower, writer, base.embedder, blobs),
            health=Health(database, follower, base.embedder, base.generator, base.cache),
            metrics=metrics,
            embedder=base.embedder,
            follower=follower,
            database=database,
        )
        await _begin(engine, base.slot, incoming)
        yield engine


async def _open_base(
    stack: AsyncExitStack,
    loaded: Loaded,
    embedder: Embedder | None,
    generator: Generator | None,
    tier: Tier | None,
) -> _Base:
    settings = loaded.settings
    home = await to_thread.run_sync(open_home, loaded.home)
    # The model loads beside the rest: 0.3 s, most of it outside the interpreter.
    opening = asyncio.create_task(_open_embedder(settings, embedder))
    stack.push_async_callback(_close_opened, opening)
    database = await open_database(home.database, settings.store)
    stack.push_async_callback(database.aclose)
    slot = await to_thread.run_sync(take_slot, home.index)
    follower = await _open_follower(stack, database, slot, settings)
    generator = _open_generator(stack, settings, generator)
    metrics = Metrics(version("ragstone"))
    cache = _open_cache(stack, settings, home, metrics, tier)
    return _Base(
        settings=settings,
        home=home,
        slot=slot,
        database=database,
        follower=follower,
        embedder=_remembering(await opening, cache, metrics),
        generator=generator,
        cache=cache,
        metrics=metrics,
    )


async def _begin(engine: Engine, slot: Slot, incoming: Incoming) -> None:
    await _ensure_default_collection(engine)
    if slot.was_killed:
        await _tidy(engine, incoming)


async def _tidy(engine: Engine, incoming: Incoming) -> None:
    """Remove files that a killed process left half way."""
    await engine.checker.drop_orphaned_originals()
    await to_thread.run_sync(incoming.remove_abandoned)


def _open_tracker(
    stack: AsyncExitStack, database: Database, settings: Settings, metrics: Metrics
) -> QueryTracker:
    tracker = QueryTracker(database, settings.cache, metrics)
    stack.push_async_callback(tracker.aclose)
    tracker.start()
    return tracker


def _open_warmer(stack: AsyncExitStack, parts: WarmingParts, settings: Settings) -> Warmer:
    warmer = Warmer(parts, settings.cache)
    stack.push_async_callback(warmer.aclose)
    return warmer


async def _open_embedder(settings: Settings, given: Embedder | None) -> Embedder:
    if given is not None:
        return given
    models = settings.models
    options = LocalModelOptions(
        folder=models.embedding_path or BUNDLED_FOLDER,
        runtime=models.runtime,
        threads=models.threads,
        limits=BatchingLimits(waiting_queries=models.waiting_queries, bulk_callers=models.bulk_callers),
    )
    try:
        return await open_local_embedder(options)
    except NotReady as error:
        log.warning("embedder_unavailable", error=error.message)
        return UnavailableEmbedder(error.message)


async def _close_opened(opening: asyncio.Task[Embedder]) -> None:
    await asyncio.wait([opening])
    if not opening.cancelled() and opening.exception() is None:
        await opening.result().aclose()


def _open_cache(
    stack: AsyncExitStack, settings: Settings, home: Home, metrics: Metrics, tier: Tier | None
) -> Cache:
    given = None if tier is None else SharedCache(tier)
    shared = given or open_shared_cache(settings.cache, home.cache, metrics)
    cache = Cache(limits_of(settings.cache), shared.tier, shared.claims)
    stack.push_async_callback(cache.aclose)
    metrics.watch_caches(cache.statistics)
    return cache


def _remembering(embedder: Embedder, cache: Cache, metrics: Metrics) -> Embedder:
    """The model of this machine behind its cache; another embedder as it is."""
    if not isinstance(embedder, LocalEmbedder):
        return embedder
    caching = CachingEmbedder(embedder, cache)
    metrics.watch_query_embeddings(caching.lookups)
    return caching


async def _open_follower(
    stack: AsyncExitStack, database: Database, slot: Slot, settings: Settings
) -> IndexFollower:
    products = ParallelProducts(usable_cores())
    stack.callback(products.close)
    try:
        follower = await open_follower(database, slot, settings.index.writer_memory_mb, products)
    except BaseException:
        slot.release()
        raise
    stack.push_async_callback(follower.aclose)
    return follower


def _open_asking(stack: AsyncExitStack, base: _Base) -> _Asking:
    settings, database, cache, embedder = base.settings, base.database, base.cache, base.embedder
    longest = settings.limits.query_max_chars
    standings = Standings(database, base.follower, longest)
    recipes = Recipes.of(settings, embedder)
    pipeline = SearchPipeline(database, base.follower, embedder, settings.search, standings)
    found = CachingSearch(pipeline, standings, cache, recipes.retrieval)
    semantic = SemanticCache(standings, cache, embedder, settings.cache, recipes.answer)
    evidence = Evidence(standings, cache, recipes.answer, semantic)
    answered = AnswerPipeline(database, found, embedder, base.generator, settings, evidence)
    load, tracker = Load(), _open_tracker(stack, database, settings, base.metrics)
    recorder = Recorder(tracker, load, longest)
    search = SearchService(found, settings.search, base.metrics, cache, recorder)
    caching = CachingAnswers(answered, standings, cache, recipes)
    answers = AnswerService(caching, settings.answer, base.metrics, cache, recorder)
    answers_too = base.generator is None or settings.cache.warm_answers
    return _Asking(
        search=search,
        answers=answers,
        queries=QueryService(database, tracker, settings),
        repeater=Repeater(search, answers, answers_too=answers_too),
        load=load,
    )


def _open_generator(stack: AsyncExitStack, settings: Settings, given: Generator | None) -> Generator | None:
    configured = settings.generator
    if given is not None:
        stack.push_async_callback(given.aclose)
        return given
    if configured.base_url is None:
        return None
    if not configured.model:
        raise InvalidSetting(
            f"generator.base_url is {configured.base_url!r}, but generator.model is empty; "
            "name the model, for example RAGSTONE_GENERATOR__MODEL=llama3.2."
        )
    from ragstone.models.openai_generator import OpenAIGenerator, OpenAIOptions

    generator = OpenAIGenerator(
        OpenAIOptions(
            configured.base_url,
            configured.model,
            configured.api_key.get_secret_value(),
            configured.timeout_s,
        )
    )
    stack.push_async_callback(generator.aclose)
    return generator


def _open_worker(
    stack: AsyncExitStack, settings: Settings, home: Home, parts: WorkerParts
) -> tuple[Incoming, JobWorker]:
    incoming = Incoming(home.incoming)
    stack.callback(incoming.close)
    worker = JobWorker(parts, settings.ingest)
    stack.push_async_callback(worker.aclose, SHUTDOWN_GRACE_S)
    return incoming, worker


def _build_fetcher(stack: AsyncExitStack, settings: Settings) -> Fetcher:
    guard = AddressGuard(SystemResolver(), FetchRules.from_settings(settings.security))
    fetcher = Fetcher(guard, FetchLimits.from_settings(settings))
    stack.push_async_callback(fetcher.aclose)
    return fetcher


def _build_sources(
    stack: AsyncExitStack, settings: Settings, home: Home, parts: WorkerParts, intake: JobIntake
) -> SourceService:
    fetcher = _build_fetcher(stack, settings)
    configured, ingest = settings.sources, settings.ingest
    limits = SourceLimits.from_settings(settings)
    sync_limits = SyncLimits(ingest.concurrency, configured.max_vanished_share, configured.always_removed)
    sources = SourceService(
        SourceParts(
            database=parts.database,
            intake=intake,
            fetcher=fetcher,
            opener=SourceOpener(fetcher, home.clones, limits),
            runner=SyncRunner(parts.database, intake, sync_limits, parts.metrics),
            catalogue=configured.catalogue or home.catalogue,
            settings=settings,
        )
    )
    stack.push_async_callback(sources.aclose)
    return sources


async def _ensure_default_collection(engine: Engine) -> None:
    known = engine.follower.collections_of(DEFAULT_TENANT)
    if DEFAULT_COLLECTION not in known and not isinstance(engine.embedder, UnavailableEmbedder):
        await engine.collections.create(DEFAULT_COLLECTION)
