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

from ragstone.answer.pipeline import AnswerPipeline
from ragstone.config import Loaded, Settings
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
from ragstone.ingest.upkeep import WorkerParts
from ragstone.ingest.worker import JobWorker
from ragstone.ingest.write import Writer
from ragstone.models.batching import BatchingLimits
from ragstone.models.card import BUNDLED_FOLDER
from ragstone.models.embedding_cache import CachingEmbedder
from ragstone.models.hardware import usable_cores
from ragstone.models.local import LocalModelOptions, open_local_embedder
from ragstone.models.unavailable import UnavailableEmbedder
from ragstone.operate.check import Checker
from ragstone.operate.health import Health
from ragstone.search.pipeline import SearchPipeline
from ragstone.service.answers import AnswerService
from ragstone.service.chunks import ChunkService
from ragstone.service.collections import CollectionService
from ragstone.service.documents import DocumentService
from ragstone.service.jobs import JobService
from ragstone.service.search import SearchService
from ragstone.store.blobs import Blobs
from ragstone.store.database import Database, open_database
from ragstone.store.incoming import Incoming
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
    chunks: ChunkService
    jobs: JobService
    worker: JobWorker
    search: SearchService
    answers: AnswerService
    checker: Checker
    health: Health
    metrics: Metrics
    embedder: Embedder
    follower: IndexFollower
    database: Database


@asynccontextmanager
async def open_engine(loaded: Loaded, embedder: Embedder | None = None) -> AsyncIterator[Engine]:
    """Open the home, migrate, catch the indexes up, load the model; close all of it at the end.

    `embedder` stands in for the configured one, and is closed as that would be.

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
        generator = _build_generator(settings)
        if generator is not None:
            stack.push_async_callback(generator.aclose)
        parser = build_parser(_parsing_limits(settings))
        stack.push_async_callback(parser.aclose)
        embedder = await opening
        blobs = Blobs(home.blobs)
        writer = Writer(database, follower)
        metrics = Metrics(version("ragstone"))
        if isinstance(embedder, CachingEmbedder):
            metrics.watch_query_embeddings(embedder.lookups)
        ingest = IngestPipeline(database, writer, parser, embedder, blobs, settings.ingest)
        longest = settings.limits.query_max_chars
        search = SearchPipeline(database, follower, embedder, settings.search, longest)
        answer = AnswerPipeline(database, search, embedder, generator, settings.answer, settings.generator)
        documents = DocumentService(database, writer, ingest, metrics)
        checkpoints = Checkpoints(home.checkpoints, version("ragstone"))
        parts = WorkerParts(database, documents, blobs, checkpoints, metrics)
        incoming = Incoming(home.incoming)
        stack.callback(incoming.close)
        worker = JobWorker(parts, settings.ingest)
        stack.push_async_callback(worker.aclose, SHUTDOWN_GRACE_S)
        engine = Engine(
            settings=settings,
            home=home,
            documents=documents,
            collections=CollectionService(database, writer, ingest, documents),
            chunks=ChunkService(database, ingest.preparation, metrics),
            jobs=JobService(parts, worker, JobQueue(parts, incoming, settings.ingest), follower),
            worker=worker,
            search=SearchService(search, settings.search, metrics),
            answers=AnswerService(answer, settings.answer, metrics),
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


async def _close_opened(opening: asyncio.Task[Embedder]) -> None:
    await asyncio.wait([opening])
    if not opening.cancelled() and opening.exception() is None:
        await opening.result().aclose()


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
