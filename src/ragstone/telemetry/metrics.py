"""Every metric, declared in one registry; a name is written down here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Protocol, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from ragstone.types import JobState

HTTP_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
STAGE_BUCKETS = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    5.0,
    30.0,
)


class _QueryEmbeddings:
    """Reads the cache's own counts instead of counting beside it."""

    def __init__(self, read: Callable[[], tuple[int, int]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        hits, misses = self._read()
        family = CounterMetricFamily(
            "ragstone_query_embeddings", "Query embeddings by where they came from.", labels=("source",)
        )
        family.add_metric(("cache",), hits)
        family.add_metric(("model",), misses)
        yield family


class CacheFigures(Protocol):
    """What a cache tells of itself: see `ragstone.cache.cache.CacheStatistics`."""

    @property
    def name(self) -> str:
        """Of the cache."""
        ...

    @property
    def hits(self) -> Mapping[str, int]:
        """By tier."""
        ...

    @property
    def misses(self) -> int:
        """Lookups that found nothing."""
        ...

    @property
    def sets(self) -> int:
        """Values kept."""
        ...

    @property
    def errors(self) -> int:
        """Entries that could not be read or kept."""
        ...

    @property
    def saved_ms(self) -> float:
        """What making the values that were found had taken."""
        ...

    @property
    def saved_tokens(self) -> int:
        """Tokens that the generator did not have to read and write."""
        ...

    @property
    def entries(self) -> int:
        """In memory now."""
        ...

    @property
    def size_bytes(self) -> int:
        """In memory now."""
        ...


class _Caches:
    """Reads the caches' own counts."""

    def __init__(self, read: Callable[[], Iterable[CacheFigures]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        lookups = CounterMetricFamily(
            "ragstone_cache_lookups",
            "Lookups by where the value lay; or miss.",
            labels=("cache", "found"),
        )
        sets = CounterMetricFamily("ragstone_cache_sets", "Values kept.", labels=("cache",))
        errors = CounterMetricFamily(
            "ragstone_cache_errors", "Entries that could not be read or kept.", labels=("cache",)
        )
        saved = CounterMetricFamily(
            "ragstone_cache_saved_seconds",
            "What making the values that were found had taken.",
            labels=("cache",),
        )
        tokens = CounterMetricFamily(
            "ragstone_cache_saved_tokens", "Tokens of generations that were used again.", labels=("cache",)
        )
        entries = GaugeMetricFamily("ragstone_cache_entries", "Entries in memory.", labels=("cache",))
        size = GaugeMetricFamily("ragstone_cache_bytes", "Bytes in memory.", labels=("cache",))
        for figures in self._read():
            for tier, count in figures.hits.items():
                lookups.add_metric((figures.name, tier), count)
            lookups.add_metric((figures.name, "miss"), figures.misses)
            sets.add_metric((figures.name,), figures.sets)
            errors.add_metric((figures.name,), figures.errors)
            saved.add_metric((figures.name,), figures.saved_ms / 1000)
            tokens.add_metric((figures.name,), figures.saved_tokens)
            entries.add_metric((figures.name,), figures.entries)
            size.add_metric((figures.name,), figures.size_bytes)
        yield from (lookups, sets, errors, saved, tokens, entries, size)


class RedisFigures(Protocol):
    """What the Redis client of this process is doing."""

    @property
    def busy(self) -> int:
        """Calls on their way."""
        ...

    @property
    def waiting(self) -> int:
        """Calls that wait for a connection."""
        ...

    @property
    def limit(self) -> int:
        """Calls that may be on their way at once."""
        ...

    @property
    def failures(self) -> int:
        """Calls that failed since the start."""
        ...

    @property
    def is_available(self) -> bool:
        """Whether it answers."""
        ...


class _Redis:
    """Reads the client's own counts."""

    def __init__(self, read: Callable[[], RedisFigures]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        now = self._read()
        calls = GaugeMetricFamily(
            "ragstone_redis_calls", "Calls to Redis on their way, waiting, and the limit.", labels=("state",)
        )
        calls.add_metric(("busy",), now.busy)
        calls.add_metric(("waiting",), now.waiting)
        calls.add_metric(("limit",), now.limit)
        yield calls
        yield CounterMetricFamily(
            "ragstone_redis_failures", "Calls to Redis that failed.", value=now.failures
        )
        yield GaugeMetricFamily(
            "ragstone_redis_up", "Whether Redis answers; 0 while it is left alone.", value=now.is_available
        )


class Metrics:
    """The metrics of one engine, in a registry of its own."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        self._info = Info("ragstone", "The running application.", registry=self.registry)
        self._info.info({"version": version})
        # Looking a series up by its labels takes longer than moving it.
        self._stage = cache(lambda operation, stage: self.stage_seconds.labels(operation, stage))
        self._http = cache(self._http_series)
        self.http_requests = Counter(
            "ragstone_http_requests",
            "HTTP requests answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.http_seconds = Histogram(
            "ragstone_http_request_duration_seconds",
            "Time from a request's first byte to the end of its response.",
            ("method", "route"),
            buckets=HTTP_BUCKETS,
            registry=self.registry,
        )
        self.stage_seconds = Histogram(
            "ragstone_stage_duration_seconds",
            "Time spent in one stage of an operation.",
            ("operation", "stage"),
            buckets=STAGE_BUCKETS,
            registry=self.registry,
        )
        self.documents_written = Counter(
            "ragstone_documents_written",
            "Documents by what a write did to them.",
            ("status",),
            registry=self.registry,
        )
        self.chunks_embedded = Counter(
            "ragstone_chunks_embedded", "Chunks embedded during ingestion.", registry=self.registry
        )
        self.degraded = Counter(
            "ragstone_degraded",
            "Responses that something was missing from.",
            ("part",),
            registry=self.registry,
        )
        self.corpus_version = Gauge(
            "ragstone_corpus_version",
            "Version that the indexes of this process have applied.",
            registry=self.registry,
        )
        self._declare_jobs()
        self._declare_sources()
        self._declare_queries()
        self.generated_tokens = Counter(
            "ragstone_generator_tokens",
            "Tokens as the generator reports them.",
            ("kind",),
            registry=self.registry,
        )

    def _declare_jobs(self) -> None:
        self.jobs = Gauge(
            "ragstone_jobs", "Jobs in the database by state.", ("state",), registry=self.registry
        )
        self.oldest_job_seconds = Gauge(
            "ragstone_jobs_oldest_queued_seconds",
            "Age of the oldest job that waits; 0 when none does.",
            registry=self.registry,
        )
        self.jobs_finished = Counter(
            "ragstone_job_attempts",
            "Attempts at jobs by what they came to: ready, failed, postponed, cancelled, handed_back.",
            ("outcome",),
            registry=self.registry,
        )

    def _declare_sources(self) -> None:
        self.source_runs = Counter(
            "ragstone_source_runs", "Syncs of sources by how they ended.", ("state",), registry=self.registry
        )
        self.source_items = Counter(
            "ragstone_source_items",
            "Documents of sources by what a sync did to them.",
            ("outcome",),
            registry=self.registry,
        )

    def _declare_queries(self) -> None:
        self.queries_tracked = Counter(
            "ragstone_queries_tracked",
            "Questions by what tracking did with them: recorded, dropped, evicted.",
            ("outcome",),
            registry=self.registry,
        )
        self.queries_waiting = Gauge(
            "ragstone_queries_waiting",
            "Different questions counted in memory and not stored yet.",
            registry=self.registry,
        )
        self.warming_runs = Counter(
            "ragstone_cache_warming_runs",
            "Warmings by how they ended: done, cancelled, failed.",
            ("state",),
            registry=self.registry,
        )
        self.warmed_requests = Counter(
            "ragstone_cache_warmed_requests",
            "Requests asked again by warmings, by outcome: warmed, failed, skipped.",
            ("outcome",),
            registry=self.registry,
        )

    def watch_query_embeddings(self, read: Callable[[], tuple[int, int]]) -> None:
        """Expose the cache of query embeddings: `read` gives its hits and misses at each scrape."""
        self.registry.register(_QueryEmbeddings(read))

    def watch_caches(self, read: Callable[[], Iterable[CacheFigures]]) -> None:
        """Expose the caches: `read` gives the figures of each at each scrape."""
        self.registry.register(_Caches(read))

    def watch_redis(self, read: Callable[[], RedisFigures]) -> None:
        """Expose the Redis client: `read` gives its figures at each scrape."""
        self.registry.register(_Redis(read))

    def observe_queue(self, counts: Mapping[JobState, int], oldest_s: float) -> None:
        """Set the gauges of the queue."""
        for state in get_args(JobState):
            self.jobs.labels(state).set(counts.get(state, 0))
        self.oldest_job_seconds.set(oldest_s)

    def observe_stage(self, operation: str, stage: str, seconds: float) -> None:
        """The sink of stage timers."""
        self._stage(operation, stage).observe(seconds)

    def observe_http(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request of a route's template."""
        requests, durations = self._http(method, route, status)
        requests.inc()
        durations.observe(seconds)

    def _http_series(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        return (
            self.http_requests.labels(method, route, str(status)),
            self.http_seconds.labels(method, route),
        )

    def exposition(self) -> bytes:
        """All metrics in the Prometheus text format."""
        return generate_latest(self.registry)
