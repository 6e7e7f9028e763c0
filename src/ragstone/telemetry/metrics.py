"""The metrics of one engine, made from the declarations in `families`; what moves them is called by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from ragstone.telemetry import collectors, families
from ragstone.telemetry.collectors import (
    BreakerFigures,
    CacheFigures,
    ComponentFigures,
    ConnectionFigures,
    EmbedderFigures,
    PlaceFigures,
    RedisFigures,
    Watched,
)
from ragstone.telemetry.families import Family
from ragstone.telemetry.percentiles import Percentiles
from ragstone.telemetry.resources import Resources
from ragstone.types import JobState

SERVER_ERROR = 500


class Metrics:
    """The metrics of one engine, in a registry of its own."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, version: str, percentiles: Percentiles | None = None) -> None:
        self.registry = CollectorRegistry()
        self.percentiles = percentiles or Percentiles()
        application = families.APPLICATION
        self._info = Info(application.name, application.help, registry=self.registry)
        self._info.info({"version": version})
        # Looking a series up by its labels takes longer than moving it.
        self._stage = cache(lambda operation, stage: self.stage_seconds.labels(operation, stage))
        self._http = cache(self._http_series)
        self._declare_http()
        self._declare_questions()
        self._declare_generation()
        self._declare_ingestion()
        self._declare_caches()
        self._declare_store()
        self.mcp_calls = self._counter(families.MCP_CALLS)
        self.mcp_seconds = self._histogram(families.MCP_SECONDS)

    def _declare_http(self) -> None:
        self.http_requests = self._counter(families.HTTP_REQUESTS)
        self.http_seconds = self._histogram(families.HTTP_SECONDS)
        self.http_in_flight = self._gauge(families.HTTP_IN_FLIGHT)
        self.http_sent = self._counter(families.HTTP_SENT)
        self.http_received = self._counter(families.HTTP_RECEIVED)
        self.http_problems = self._counter(families.HTTP_PROBLEMS)

    def _declare_questions(self) -> None:
        self.questions = self._counter(families.QUESTIONS)
        self.question_seconds = self._histogram(families.QUESTION_SECONDS)
        self.question_errors = self._counter(families.QUESTION_ERRORS)
        self.question_hits = self._histogram(families.QUESTION_HITS)
        self.questions_without_hits = self._counter(families.QUESTIONS_WITHOUT_HITS)
        self.top_score = self._histogram(families.TOP_SCORE)
        self.retrieval_seconds = self._histogram(families.RETRIEVAL_SECONDS)
        self.stage_seconds = self._histogram(families.STAGE_SECONDS)
        self.answers = self._counter(families.ANSWERS)
        self.citations = self._counter(families.CITATIONS)
        self.answer_traces = self._counter(families.ANSWER_TRACES)
        self.degraded = self._counter(families.DEGRADED)
        self.log_rows = self._counter(families.LOG_ROWS)
        self.log_waiting = self._gauge(families.LOG_WAITING)
        self.log_write_seconds = self._histogram(families.LOG_WRITE_SECONDS)

    def _declare_generation(self) -> None:
        self.generations = self._counter(families.GENERATIONS)
        self.generation_seconds = self._histogram(families.GENERATION_SECONDS)
        self.first_token_seconds = self._histogram(families.FIRST_TOKEN_SECONDS)
        self.tokens_per_second = self._histogram(families.TOKENS_PER_SECOND)
        self.generated_tokens = self._counter(families.GENERATOR_TOKENS)

    def _declare_ingestion(self) -> None:
        self.documents_written = self._counter(families.DOCUMENTS_WRITTEN)
        self.ingested_bytes = self._counter(families.INGESTED_BYTES)
        self.chunks_embedded = self._counter(families.CHUNKS_EMBEDDED)
        self.jobs = self._gauge(families.JOBS)
        self.oldest_job_seconds = self._gauge(families.OLDEST_JOB)
        self.jobs_finished = self._counter(families.JOB_ATTEMPTS)
        self.job_seconds = self._histogram(families.JOB_SECONDS)
        self.source_runs = self._counter(families.SOURCE_RUNS)
        self.source_items = self._counter(families.SOURCE_ITEMS)

    def _declare_caches(self) -> None:
        self.queries_tracked = self._counter(families.QUERIES_TRACKED)
        self.queries_waiting = self._gauge(families.QUERIES_WAITING)
        self.warming_runs = self._counter(families.WARMING_RUNS)
        self.warmed_requests = self._counter(families.WARMED_REQUESTS)
        self.prefetched_requests = self._counter(families.PREFETCHED_REQUESTS)

    def _declare_store(self) -> None:
        self.corpus_version = self._gauge(families.CORPUS_VERSION)
        self.documents = self._gauge(families.CORPUS_DOCUMENTS)
        self.chunks = self._gauge(families.CORPUS_CHUNKS)
        self.collections = self._gauge(families.COLLECTIONS)
        self.index_behind = self._gauge(families.INDEX_BEHIND)
        self.database_writes = self._histogram(families.DATABASE_WRITES)
        self.database_waits = self._histogram(families.DATABASE_WAITS)
        self.database_errors = self._counter(families.DATABASE_ERRORS)
        self.database_bytes = self._gauge(families.DATABASE_BYTES)
        self.loop_lag = self._histogram(families.LOOP_LAG)

    def watch_query_embeddings(self, read: Callable[[], tuple[int, int]]) -> None:
        """Expose the cache of query embeddings: `read` gives its hits and misses at each scrape."""
        self.registry.register(Watched(partial(collectors.query_embeddings, read)))

    def watch_embedder(self, read: Callable[[], EmbedderFigures]) -> None:
        """Expose the embedding model: `read` gives its figures at each scrape."""
        self.registry.register(Watched(partial(collectors.embedder, read)))

    def watch_caches(self, read: Callable[[], Iterable[CacheFigures]]) -> None:
        """Expose the caches: `read` gives the figures of each at each scrape."""
        self.registry.register(Watched(partial(collectors.caches, read)))

    def watch_redis(self, read: Callable[[], RedisFigures]) -> None:
        """Expose the Redis client: `read` gives its figures at each scrape."""
        self.registry.register(Watched(partial(collectors.redis, read)))

    def watch_health(self, read: Callable[[], Iterable[ComponentFigures]]) -> None:
        """Expose the dependencies: `read` gives what was seen of each last."""
        self.registry.register(Watched(partial(collectors.components, read)))

    def watch_resources(self, read: Callable[[], Resources]) -> None:
        """Expose processor, memory, disk and GPUs: `read` gives the figures at each scrape."""
        self.registry.register(Watched(partial(collectors.resources, read)))

    def watch_breakers(self, read: Callable[[], Iterable[BreakerFigures]]) -> None:
        """Expose the breakers: `read` gives the figures of each at each scrape."""
        self.registry.register(Watched(partial(collectors.breakers, read)))

    def watch_places(self, read: Callable[[], Iterable[PlaceFigures]]) -> None:
        """Expose how full each kind of work is: `read` gives the figures at each scrape."""
        self.registry.register(Watched(partial(collectors.places, read)))

    def watch_connections(self, read: Callable[[], ConnectionFigures]) -> None:
        """Expose the database's connections: `read` gives their figures at each scrape."""
        self.registry.register(Watched(partial(collectors.connections, read)))

    def observe_queue(self, counts: Mapping[JobState, int], oldest_s: float) -> None:
        """Set the gauges of the queue."""
        for state in get_args(JobState):
            self.jobs.labels(state).set(counts.get(state, 0))
        self.oldest_job_seconds.set(oldest_s)

    def observe_stage(self, operation: str, stage: str, seconds: float) -> None:
        """The sink of stage timers."""
        self._stage(operation, stage).observe(seconds)
        self.percentiles.observe(operation, stage, seconds)

    def observe_http(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request of a route's template."""
        requests, durations = self._http(method, route, status)
        requests.inc()
        durations.observe(seconds)
        self.percentiles.observe(method, route, seconds)
        if status >= SERVER_ERROR:
            self.percentiles.fail(method, route, str(status))

    def observe_bodies(self, received: int, sent: int) -> None:
        """Count the bytes of a request that was answered."""
        self.http_in_flight.dec()
        if received:
            self.http_received.inc(received)
        self.http_sent.inc(sent)

    def observe_write(self, waited_s: float, spent_s: float) -> None:
        """Note one write transaction of the database."""
        self.database_waits.observe(waited_s)
        self.database_writes.observe(spent_s)

    def exposition(self) -> bytes:
        """All metrics in the Prometheus text format."""
        return generate_latest(self.registry)

    def _http_series(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        return (
            self.http_requests.labels(method, route, str(status)),
            self.http_seconds.labels(method, route),
        )

    def _counter(self, family: Family) -> Counter:
        return Counter(family.name, family.help, family.labels, registry=self.registry)

    def _gauge(self, family: Family) -> Gauge:
        return Gauge(family.name, family.help, family.labels, registry=self.registry)

    def _histogram(self, family: Family) -> Histogram:
        return Histogram(
            family.name, family.help, family.labels, buckets=family.buckets, registry=self.registry
        )
