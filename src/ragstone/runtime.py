"""Builds everything from settings, as one context manager that closes in reverse order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import structlog
from anyio import to_thread

from ragstone.answer.pipeline import AnswerPipeline
from ragstone.config import Loaded, Settings
from ragstone.errors import InvalidSetting, NotReady
from ragstone.home import Home, open_home
from ragstone.index.follower import IndexFollower, open_follower
from ragstone.index.slot import Slot, take_slot
from ragstone.ingest.limits import ParsingLimits
from ragstone.ingest.parse import build_parser
from ragstone.ingest.pipeline import IngestPipeline
from ragstone.ingest.sources.open import SourceLimits, SourceOpener
from ragstone.ingest.sources.runs import SyncRunner
from ragstone.ingest.sources.sync import SyncLimits
from ragstone.ingest.write import Writer
from ragstone.models.batching import BatchingLimits
from ragstone.models.card import BUNDLED_FOLDER
from ragstone.models.embedding_cache import CachingEmbedder
from ragstone.models.local import LocalModelOptions, open_local_embedder
from ragstone.models.unavailable import UnavailableEmbedder
from ragstone.net.fetch import Fetcher, FetchLimits
from ragstone.net.guard import AddressGuard, FetchRules, SystemResolver
from ragstone.operate.check import Checker
from ragstone.operate.health import Health
from ragstone.search.pipeline import SearchPipeline
from ragstone.service.answers import AnswerService
from ragstone.service.collections import CollectionService
from ragstone.service.documents import DocumentService
from ragstone.service.intake import DirectIntake
from ragstone.service.search import SearchService
from ragstone.service.sources import SourceParts, SourceService
from ragstone.service.uploads import UploadService
from ragstone.store.blobs import Blobs
from ragstone.store.database import Database, open_database
from ragstone.telemetry.metrics import Metrics
from ragstone.types import DEFAULT_COLLECTION, DEFAULT_TENANT

if TYPE_CHECKING:
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
    uploads: UploadService
    sources: SourceService
    search: SearchService
    answers: AnswerService
    checker: Checker
    health: Health
    metrics: Metrics
    embedder: Embedder
    follower: IndexFollower
    database: Database


@asynccontextmanager
async def open_engine(loaded: Loaded) -> AsyncIterator[Engine]:
    """Open the home, migrate, catch the indexes up, load the model; close all of it at the end.

    Raises:
        HomeMismatch: the home is of another version or damaged.
        InvalidSetting: the generator's settings do not fit together.
    """
    settings = loaded.settings
    async with AsyncExitStack() as stack:
        home = await to_thread.run_sync(open_home, loaded.home)
        database = await open_database(home.database, settings.store)
        stack.push_async_callback(database.aclose)
        embedder = await _open_embedder(settings)
        stack.push_async_callback(embedder.aclose)
        slot = await to_thread.run_sync(take_slot, home.index)
        follower = await _open_follower(database, slot, settings)
        stack.push_async_callback(follower.aclose)
        generator = _build_generator(settings)
        if generator is not None:
            stack.push_async_callback(generator.aclose)
        parser = build_parser(_parsing_limits(settings))
        stack.push_async_callback(parser.aclose)
        blobs = Blobs(home.blobs)
        writer = Writer(database, follower)
        metrics = Metrics(version("ragstone"))
        if isinstance(embedder, CachingEmbedder):
            metrics.watch_query_embeddings(embedder.lookups)
        ingest = IngestPipeline(database, writer, parser, embedder, blobs, settings.ingest)
        search = SearchPipeline(
            database, follower, embedder, settings.search, settings.limits.query_max_chars
        )
        answer = AnswerPipeline(database, search, embedder, generator, settings.answer, settings.generator)
        documents = DocumentService(database, writer, ingest, metrics)
        uploads = UploadService(database, documents, blobs, settings.ingest.concurrency)
        stack.push_async_callback(uploads.aclose, SHUTDOWN_GRACE_S)
        fetcher = _build_fetcher(settings)
        stack.push_async_callback(fetcher.aclose)
        sources = _build_sources(settings, home, (database, documents, fetcher, metrics))
        stack.push_async_callback(sources.aclose)
        engine = Engine(
            settings=settings,
            home=home,
            documents=documents,
            collections=CollectionService(database, writer, ingest, documents),
            uploads=uploads,
            sources=sources,
            search=SearchService(search, settings.search, metrics),
            answers=AnswerService(answer, settings.answer, metrics),
            checker=Checker(database, follower, writer, embedder, blobs),
            health=Health(database, follower, embedder, generator),
            metrics=metrics,
            embedder=embedder,
            follower=follower,
            database=database,
        )
        await _ensure_default_collection(engine)
        if slot.was_killed:
            await engine.checker.drop_orphaned_originals()
        yield engine


async def _open_embedder(settings: Settings) -> Embedder:
    models, cache = settings.models, settings.cache
    options = LocalModelOptions(
        folder=models.embedding_path or BUNDLED_FOLDER,
        runtime=models.runtime,
        threads=models.threads,
        limits=BatchingLimits(waiting_queries=models.waiting_queries, bulk_callers=models.bulk_callers),
        cache_entries=cache.query_embeddings,
        cache_ttl_s=cache.query_embedding_ttl_s,
    )
    try:
        return await open_local_embedder(options)
    except NotReady as error:
        log.warning("embedder_unavailable", error=error.message)
        return UnavailableEmbedder(error.message)


async def _open_follower(database: Database, slot: Slot, settings: Settings) -> IndexFollower:
    try:
        return await open_follower(database, slot, settings.index.writer_memory_mb)
    except BaseException:
        slot.release()
        raise


def _build_generator(settings: Settings) -> Generator | None:
    configured = settings.generator
    if configured.base_url is None:
        return None
    if not configured.model:
        raise InvalidSetting(
            f"generator.base_url is {configured.base_url!r}, but generator.model is empty; "
            "name the model, for example RAGSTONE_GENERATOR__MODEL=llama3.2."
        )
    from ragstone.models.openai_generator import OpenAIGenerator, OpenAIOptions

    return OpenAIGenerator(
        OpenAIOptions(
            configured.base_url,
            configured.model,
            configured.api_key.get_secret_value(),
            configured.timeout_s,
        )
    )


def _build_fetcher(settings: Settings) -> Fetcher:
    configured = settings.sources
    limits = FetchLimits(
        max_bytes=settings.ingest.max_file_bytes,
        timeout_s=configured.fetch_timeout_s,
        max_redirects=configured.max_redirects,
        user_agent=configured.user_agent,
    )
    return Fetcher(AddressGuard(SystemResolver(), FetchRules.from_settings(settings.security)), limits)


def _build_sources(
    settings: Settings, home: Home, parts: tuple[Database, DocumentService, Fetcher, Metrics]
) -> SourceService:
    database, documents, fetcher, metrics = parts
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
    intake = DirectIntake(documents)
    sync_limits = SyncLimits(ingest.concurrency, configured.max_vanished_share, configured.always_removed)
    return SourceService(
        SourceParts(
            database=database,
            intake=intake,
            fetcher=fetcher,
            opener=SourceOpener(fetcher, home.clones, limits),
            runner=SyncRunner(database, intake, sync_limits, metrics),
            catalogue=configured.catalogue or home.catalogue,
            settings=settings,
        )
    )


def _parsing_limits(settings: Settings) -> ParsingLimits:
    ingest = settings.ingest
    return ParsingLimits(
        workers=ingest.parse_workers,
        timeout_s=ingest.parse_timeout_s,
        memory_mb=ingest.parse_memory_mb,
        max_unpacked_bytes=ingest.max_unpacked_bytes,
        ocr=ingest.ocr,
        ocr_language=ingest.ocr_language,
    )


async def _ensure_default_collection(engine: Engine) -> None:
    known = engine.follower.collections_of(DEFAULT_TENANT)
    if DEFAULT_COLLECTION not in known and not isinstance(engine.embedder, UnavailableEmbedder):
        await engine.collections.create(DEFAULT_COLLECTION)
