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

from ragstone.answer.cached import CachingAnswers
from ragstone.answer.evidence import Evidence
from ragstone.answer.pipeline import AnswerPipeline
from ragstone.answer.recipes import Recipes
from ragstone.cache.cache import Cache, limits_of
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
    checker: Checker
    health: Health
    metrics: Metrics
    embedder: Embedder
    follower: IndexFollower
    database: Database


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
        home = await to_thread.run_sync(open_home, loaded.home)
        # The model loads beside the rest: 0.3 s, most of it outside the interpreter.
        opening = asyncio.create_task(_open_embedder(settings, embedder))
        stack.push_async_callback(_close_opened, opening)
        database = await open_database(home.database, settings.store)
        stack.push_async_callback(database.aclose)
        slot = await to_thread.run_sync(take_slot, home.index)
        follower = await _open_follower(stack, database, slot, settings)
        generator = _open_generator(stack, settings, generator)
        parser = build_parser(_parsing_limits(settings))
        stack.push_async_callback(parser.aclose)
        metrics = Metrics(version("ragstone"))
        cache = _open_cache(stack, settings, metrics, tier)
        embedder = _remembering(await opening, cache, metrics)
        blobs, writer = Blobs(home.blobs), Writer(database, follower)
        ingest = IngestPipeline(database, writer, parser, embedder, blobs, settings.ingest)
        search, answers = _build_questions(settings, database, follower, embedder, generator, cache)
        documents = DocumentService(database, writer, ingest, metrics)
        checkpoints = Checkpoints(home.checkpoints, version("ragstone"))
        parts = WorkerParts(database, documents, blobs, checkpoints, metrics)
        incoming, worker = _open_worker(stack, settings, home, parts)
        jobs = JobService(parts, worker, JobQueue(parts, incoming, settings.ingest), follower)
        sources = _build_sources(stack, settings, home, parts, JobIntake(documents, jobs, worker))
        engine = Engine(
            settings=settings,
            home=home,
            documents=documents,
            collections=CollectionService(database, writer, ingest, documents),
            chunks=ChunkService(database, ingest.preparation, metrics),
            jobs=jobs,
            worker=worker,
            sources=sources,
            search=SearchService(search, settings.search, metrics),
            answers=AnswerService(answers, settings.answer, metrics),
            caches=CacheService(cache, follower),
            checker=Checker(database, follower, writer, embedder, blobs),
            health=Health(database, follower, embedder, generator),
            metrics=metrics,
            embedder=embedder,
            follower=follower,
            database=database,
        )
        await _begin(engine, slot, incoming)
        yield engine


async def _begin(engine: Engine, slot: Slot, incoming: Incoming) -> None:
    await _ensure_default_collection(engine)
    if slot.was_killed:
        await _tidy(engine, incoming)


async def _tidy(engine: Engine, incoming: Incoming) -> None:
    """Remove files that a killed process left half way."""
    await engine.checker.drop_orphaned_originals()
    await to_thread.run_sync(incoming.remove_abandoned)


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


def _open_cache(stack: AsyncExitStack, settings: Settings, metrics: Metrics, tier: Tier | None) -> Cache:
    cache = Cache(limits_of(settings.cache), tier)
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


def _build_questions(
    settings: Settings,
    database: Database,
    follower: IndexFollower,
    embedder: Embedder,
    generator: Generator | None,
    cache: Cache,
) -> tuple[CachingSearch, CachingAnswers]:
    standings = Standings(database, follower, settings.limits.query_max_chars)
    recipes = Recipes.of(settings, embedder)
    pipeline = SearchPipeline(database, follower, embedder, settings.search, standings)
    search = CachingSearch(pipeline, standings, cache, recipes.retrieval)
    evidence = Evidence(standings, cache, recipes.answer)
    answers = AnswerPipeline(database, search, embedder, generator, settings, evidence)
    return search, CachingAnswers(answers, standings, cache, recipes)


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
    configured = settings.sources
    limits = FetchLimits(
        max_bytes=settings.ingest.max_file_bytes,
        timeout_s=configured.fetch_timeout_s,
        max_redirects=configured.max_redirects,
        user_agent=configured.user_agent,
    )
    fetcher = Fetcher(AddressGuard(SystemResolver(), FetchRules.from_settings(settings.security)), limits)
    stack.push_async_callback(fetcher.aclose)
    return fetcher


def _build_sources(
    stack: AsyncExitStack, settings: Settings, home: Home, parts: WorkerParts, intake: JobIntake
) -> SourceService:
    fetcher = _build_fetcher(stack, settings)
    configured, ingest = settings.sources, settings.ingest
    limits = SourceLimits(
        max_file_bytes=ingest.max_file_bytes,
        allowed_roots=ingest.allowed_roots,
        user_agent=configured.user_agent,
        crawl_delay_s=configured.crawl_delay_s,
        crawl_max_bytes=configured.crawl_max_bytes,
        git_timeout_s=configured.git_timeout_s,
        git_max_bytes=configured.git_max_bytes,
    )
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


def _parsing_limits(settings: Settings) -> ParsingLimits:
    ingest = settings.ingest
    return ParsingLimits(
        workers=ingest.parse_workers,
        timeout_s=ingest.parse_timeout_s,
        memory_mb=ingest.parse_memory_mb,
        max_unpacked_bytes=ingest.max_unpacked_bytes,
        max_attachments=ingest.max_attachments,
        ocr=ingest.ocr,
        ocr_language=ingest.ocr_language,
    )


async def _ensure_default_collection(engine: Engine) -> None:
    known = engine.follower.collections_of(DEFAULT_TENANT)
    if DEFAULT_COLLECTION not in known and not isinstance(engine.embedder, UnavailableEmbedder):
        await engine.collections.create(DEFAULT_COLLECTION)
