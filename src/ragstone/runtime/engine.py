"""Builds everything from settings, as one context manager that closes in reverse order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anyio import to_thread

from ragstone.analytics.error_log import ErrorLog
from ragstone.analytics.system_metrics import SystemSampler
from ragstone.config import Loaded
from ragstone.home import Home
from ragstone.index.follower import IndexFollower
from ragstone.ingest.queue import JobQueue
from ragstone.ingest.worker import JobWorker
from ragstone.models.unavailable import UnavailableEmbedder
from ragstone.operate.check import Checker
from ragstone.operate.drain import Drain
from ragstone.operate.gauges import Gauges
from ragstone.operate.gpu import GpuVerifier
from ragstone.operate.health import Health
from ragstone.operate.warm import Warmer
from ragstone.runtime.asking import open_asking, open_sampler
from ragstone.runtime.base import open_base
from ragstone.runtime.operating import open_health
from ragstone.runtime.working import (
    build_checker,
    build_sources,
    open_report,
    open_taking,
    open_warmer,
    open_worker,
    worker_parts,
)
from ragstone.service.analytics import AnalyticsService
from ragstone.service.answers import AnswerService
from ragstone.service.caches import CacheService
from ragstone.service.chunks import ChunkService
from ragstone.service.collections import CollectionService
from ragstone.service.documents import DocumentService
from ragstone.service.intake import JobIntake
from ragstone.service.jobs import JobService
from ragstone.service.log_transfer import LogTransfer
from ragstone.service.queries import QueryService
from ragstone.service.search import SearchService
from ragstone.service.sources import SourceService
from ragstone.service.traces import TraceService
from ragstone.settings import Settings
from ragstone.store.database import Database
from ragstone.telemetry.metrics import Metrics
from ragstone.telemetry.resources import ResourceReader
from ragstone.telemetry.spans import OFF, Tracing
from ragstone.types import DEFAULT_COLLECTION, DEFAULT_TENANT

if TYPE_CHECKING:
    from ragstone.cache.ports import Tier
    from ragstone.index.slot import Slot
    from ragstone.ingest.originals import Originals
    from ragstone.models.ports import Embedder, Generator
    from ragstone.store.incoming import Incoming


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
    traces: TraceService
    analytics: AnalyticsService
    transfer: LogTransfer
    errors: ErrorLog
    sampler: SystemSampler
    warmer: Warmer
    checker: Checker
    health: Health
    gpu: GpuVerifier
    metrics: Metrics
    gauges: Gauges
    resources: ResourceReader
    drain: Drain
    embedder: Embedder
    follower: IndexFollower
    database: Database
    tracing: Tracing


@asynccontextmanager
async def open_engine(
    loaded: Loaded,
    embedder: Embedder | None = None,
    generator: Generator | None = None,
    tier: Tier | None = None,
    tracing: Tracing = OFF,
) -> AsyncIterator[Engine]:
    """Open the home, migrate, catch the indexes up, load the model; close all of it at the end.

    `embedder`, `generator` and `tier` stand in for the configured ones, and are closed as those would be;
    `tracing` belongs to the door.

    Raises:
        HomeMismatch: the home is of another version or damaged.
        InvalidSetting: the generator's settings do not fit together.
    """
    settings = loaded.settings
    async with AsyncExitStack() as stack:
        base = await open_base(stack, loaded, embedder, generator, tier)
        database, follower, metrics = base.database, base.follower, base.metrics
        open_report(stack, metrics, settings)
        taking, asking = open_taking(stack, base), open_asking(stack, base)
        parts = worker_parts(base, taking, asking.errors.note, tracing)
        drain = Drain(settings.server.shutdown_grace_s)
        incoming, worker = open_worker(stack, settings, base.home, parts, drain)
        jobs = JobService(parts, worker, JobQueue(parts, incoming, settings.ingest), follower)
        sources = build_sources(stack, settings, base.home, parts, JobIntake(taking.documents, jobs, worker))
        engine = Engine(
            settings=settings,
            home=base.home,
            documents=taking.documents,
            collections=CollectionService(database, taking.writer, taking.ingest, taking.documents),
            chunks=ChunkService(database, taking.ingest.preparation, metrics),
            jobs=jobs,
            worker=worker,
            sources=sources,
            search=asking.search,
            answers=asking.answers,
            caches=CacheService(base.cache, follower),
            queries=asking.queries,
            traces=asking.traces,
            analytics=AnalyticsService(asking.log.file, database, base.embedder, settings),
            transfer=LogTransfer(asking.log.file, database, settings),
            errors=asking.errors,
            sampler=open_sampler(stack, base, asking.log),
            warmer=open_warmer(stack, base, asking, worker),
            checker=build_checker(base, taking),
            health=open_health(stack, base, drain),
            gpu=GpuVerifier(settings.models, lambda: base.embedder.placement),
            metrics=metrics,
            drain=drain,
            gauges=Gauges(database, follower, metrics),
            resources=base.resources,
            embedder=base.embedder,
            follower=follower,
            database=database,
            tracing=tracing,
        )
        await _begin(engine, base.slot, taking.originals, incoming)
        yield engine


async def _begin(engine: Engine, slot: Slot, originals: Originals, incoming: Incoming) -> None:
    await _ensure_default_collection(engine)
    if slot.was_killed:
        # It left files half way.
        await originals.recover()
    await to_thread.run_sync(incoming.remove_abandoned)


async def _ensure_default_collection(engine: Engine) -> None:
    known = engine.follower.collections_of(DEFAULT_TENANT)
    if DEFAULT_COLLECTION not in known and not isinstance(engine.embedder, UnavailableEmbedder):
        await engine.collections.create(DEFAULT_COLLECTION)
