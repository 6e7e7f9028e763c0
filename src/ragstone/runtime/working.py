"""What works beside requests: jobs, sources, warming."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from ragstone.analytics.follow_ups import followed_of
from ragstone.home import Home
from ragstone.ingest.checkpoint import Checkpoints
from ragstone.ingest.limits import ParsingLimits
from ragstone.ingest.originals import Originals
from ragstone.ingest.parse import build_parser
from ragstone.ingest.pipeline import IngestPipeline
from ragstone.ingest.sources.open import SourceLimits, SourceOpener
from ragstone.ingest.sources.runs import SyncRunner
from ragstone.ingest.sources.sync import SyncLimits
from ragstone.ingest.upkeep import WorkerParts
from ragstone.ingest.worker import JobWorker
from ragstone.ingest.write import Writer
from ragstone.net.fetch import Fetcher, FetchLimits
from ragstone.net.guard import AddressGuard, FetchRules, SystemResolver
from ragstone.operate.ask_again import WarmingParts
from ragstone.operate.check import Checker
from ragstone.operate.drain import Drain
from ragstone.operate.prefetch import Prefetcher
from ragstone.operate.warm import Warmer
from ragstone.runtime.base import Base
from ragstone.runtime.guarding import open_retry
from ragstone.service.described import DescribedDocuments
from ragstone.service.documents import DocumentService
from ragstone.service.intake import JobIntake
from ragstone.service.sources import SourceParts, SourceService
from ragstone.settings import Settings
from ragstone.store.blobs import Blobs
from ragstone.store.incoming import Incoming
from ragstone.telemetry.performance import PerformanceReport
from ragstone.telemetry.spans import Tracing

if TYPE_CHECKING:
    from ragstone.analytics.error_log import FailureSink
    from ragstone.runtime.asking import Asking
    from ragstone.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Taking:
    """What takes documents in."""

    originals: Originals
    writer: Writer
    ingest: IngestPipeline
    documents: DocumentService


def open_taking(stack: AsyncExitStack, base: Base) -> Taking:
    """The pipeline that parses, cuts, embeds and writes documents."""
    parser = build_parser(ParsingLimits.from_settings(base.settings.ingest))
    stack.push_async_callback(parser.aclose)
    originals = Originals(base.database, Blobs(base.home.blobs))
    writer = Writer(base.database, base.follower)
    ingest = IngestPipeline(base.database, writer, parser, base.embedder, originals, base.settings.ingest)
    described = DescribedDocuments(base.database, base.cache)
    documents = DocumentService(base.database, writer, ingest, originals, base.metrics, described)
    return Taking(originals, writer, ingest, documents)


def build_checker(base: Base, taking: Taking) -> Checker:
    """What compares rows, vectors, indexes and originals."""
    return Checker(
        base.database, base.follower, taking.writer, base.embedder, taking.originals, base.home.log
    )


def worker_parts(base: Base, taking: Taking, note_failure: FailureSink, tracing: Tracing) -> WorkerParts:
    """What a worker works with."""
    return WorkerParts(
        database=base.database,
        documents=taking.documents,
        originals=taking.originals,
        checkpoints=Checkpoints(base.home.checkpoints, version("ragstone")),
        metrics=base.metrics,
        note_failure=note_failure,
        tracing=tracing,
    )


def open_worker(
    stack: AsyncExitStack, settings: Settings, home: Home, parts: WorkerParts, drain: Drain
) -> tuple[Incoming, JobWorker]:
    """What takes uploads in and what works on jobs: at the end they have what is left of the grace."""
    incoming = Incoming(home.incoming)
    stack.callback(incoming.close)
    worker = JobWorker(parts, settings.ingest)
    drain.on_begin(worker.stop_claiming)
    stack.push_async_callback(lambda: worker.aclose(drain.left_s))
    return incoming, worker


def open_report(stack: AsyncExitStack, metrics: Metrics, settings: Settings) -> None:
    """What tells the log how long operations take."""
    report = PerformanceReport(metrics.percentiles, settings.telemetry.report_every_s)
    stack.push_async_callback(report.aclose)
    report.start()


def open_warmer(stack: AsyncExitStack, base: Base, asking: Asking, worker: JobWorker) -> Warmer:
    """What asks the most asked questions again, and likely ones ahead."""
    parts = WarmingParts(
        base.database, asking.repeater, asking.load, worker, base.metrics, asking.errors.note
    )
    settings = base.settings.cache
    warmer = Warmer(parts, settings, Prefetcher(parts, asking.lately, followed_of(settings)))
    stack.push_async_callback(warmer.aclose)
    return warmer


def _build_fetcher(stack: AsyncExitStack, settings: Settings) -> Fetcher:
    guard = AddressGuard(SystemResolver(), FetchRules.from_settings(settings.security))
    fetcher = Fetcher(guard, FetchLimits.from_settings(settings), open_retry(settings))
    stack.push_async_callback(fetcher.aclose)
    return fetcher


def build_sources(
    stack: AsyncExitStack, settings: Settings, home: Home, parts: WorkerParts, intake: JobIntake
) -> SourceService:
    """Folders, pages, repositories and the catalogue."""
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
            runner=SyncRunner(parts.database, intake, sync_limits, parts.metrics, parts.note_failure),
            catalogue=configured.catalogue or home.catalogue,
            settings=settings,
            note_failure=parts.note_failure,
        )
    )
    stack.push_async_callback(sources.aclose)
    return sources
