"""Figures that others count themselves, read when somebody asks for the metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, Protocol

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from ragstone.telemetry import families
from ragstone.telemetry.families import Family
from ragstone.telemetry.resources import Resources

Values = Mapping[tuple[str, ...], float]
"""By the values of the labels."""


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


class EmbedderFigures(Protocol):
    """What an embedder tells of itself: see `ragstone.models.ports.EmbedderStatistics`."""

    @property
    def batch_sizes(self) -> Sequence[int]:
        """Runs by the number of their texts: up to each of `BATCH_BUCKETS`, then beyond."""
        ...

    @property
    def texts(self) -> int:
        """Texts read."""
        ...

    @property
    def busy_s(self) -> float:
        """Seconds inside the model."""
        ...

    @property
    def queue_length(self) -> int:
        """What waits now."""
        ...

    @property
    def fallbacks(self) -> int:
        """Times that a GPU failed and the processor took over."""
        ...


class ComponentFigures(Protocol):
    """How one dependency was when last seen: see `ragstone.operate.look.ComponentHealth`."""

    @property
    def name(self) -> str:
        """Of the dependency."""
        ...

    @property
    def status(self) -> Literal["ok", "degraded", "failed"]:
        """How it was."""
        ...

    @property
    def latency_ms(self) -> float:
        """How long the look took."""
        ...


HEALTH_VALUES = {"ok": 1.0, "degraded": 0.5, "failed": 0.0}


class BreakerFigures(Protocol):
    """What a breaker tells of itself: see `ragstone.resilience.breaker.BreakerFigures`."""

    @property
    def name(self) -> str:
        """Of the dependency."""
        ...

    @property
    def state(self) -> str:
        """closed, open or half_open."""
        ...

    @property
    def failures(self) -> int:
        """Failed calls."""
        ...

    @property
    def opened(self) -> int:
        """How often it opened."""
        ...

    @property
    def refused(self) -> int:
        """Calls that were not let through."""
        ...


class PlaceFigures(Protocol):
    """What a limiter tells of itself: see `ragstone.resilience.limiter.LimiterFigures`."""

    @property
    def name(self) -> str:
        """Of the work."""
        ...

    @property
    def busy(self) -> int:
        """Places taken."""
        ...

    @property
    def limit(self) -> int:
        """Places there are."""
        ...

    @property
    def refused(self) -> int:
        """Work that found none."""
        ...


class ConnectionFigures(Protocol):
    """What the database tells of its connections: see `ragstone.store.database.PoolFigures`."""

    @property
    def size(self) -> int:
        """Readers kept open."""
        ...

    @property
    def max_overflow(self) -> int:
        """Readers that may be opened beyond."""
        ...

    @property
    def in_use(self) -> int:
        """Readers at work."""
        ...

    @property
    def overflow(self) -> int:
        """Readers open beyond the pool."""
        ...

    @property
    def writes_waiting(self) -> int:
        """Writes that wait for their turn."""
        ...


class Watched:
    """One source of figures as Prometheus' registry reads it."""

    def __init__(self, collect: Callable[[], Iterator[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterator[Metric]:
        """The figures of now."""
        return self._collect()


def query_embeddings(read: Callable[[], tuple[int, int]]) -> Iterator[Metric]:
    """`read` gives what the cache found, and what it did not."""
    hits, misses = read()
    yield _counter(families.QUERY_EMBEDDINGS, {("cache",): hits, ("model",): misses})


def embedder(read: Callable[[], EmbedderFigures]) -> Iterator[Metric]:
    """The runs of the embedding model."""
    now = read()
    yield _counter(families.EMBEDDED_TEXTS, {(): now.texts})
    yield _counter(families.EMBEDDING_BUSY, {(): now.busy_s})
    yield _counter(families.EMBEDDER_FALLBACKS, {(): now.fallbacks})
    yield _gauge(families.EMBEDDING_QUEUE, {(): now.queue_length})
    runs, so_far = [], 0
    bounds = [*(str(float(bound)) for bound in families.EMBEDDING_BATCHES.buckets), "+Inf"]
    for bound, count in zip(bounds, now.batch_sizes, strict=True):
        so_far += count
        runs.append((bound, so_far))
    family = families.EMBEDDING_BATCHES
    yield HistogramMetricFamily(family.name, family.help, buckets=runs, sum_value=now.texts)


def caches(read: Callable[[], Iterable[CacheFigures]]) -> Iterator[Metric]:
    """The figures of every cache."""
    all_figures = list(read())
    lookups: dict[tuple[str, ...], float] = {}
    for figures in all_figures:
        for tier, count in figures.hits.items():
            lookups[figures.name, tier] = count
        lookups[figures.name, "miss"] = figures.misses
    yield _counter(families.CACHE_LOOKUPS, lookups)
    yield _counter(families.CACHE_SETS, {(one.name,): one.sets for one in all_figures})
    yield _counter(families.CACHE_ERRORS, {(one.name,): one.errors for one in all_figures})
    yield _counter(families.CACHE_SAVED, {(one.name,): one.saved_ms / 1000 for one in all_figures})
    yield _counter(families.CACHE_SAVED_TOKENS, {(one.name,): one.saved_tokens for one in all_figures})
    yield _gauge(families.CACHE_ENTRIES, {(one.name,): one.entries for one in all_figures})
    yield _gauge(families.CACHE_BYTES, {(one.name,): one.size_bytes for one in all_figures})


def redis(read: Callable[[], RedisFigures]) -> Iterator[Metric]:
    """The Redis client's own counts."""
    now = read()
    calls: Values = {("busy",): now.busy, ("waiting",): now.waiting, ("limit",): now.limit}
    yield _gauge(families.REDIS_CALLS, calls)
    yield _counter(families.REDIS_FAILURES, {(): now.failures})
    yield _gauge(families.REDIS_UP, {(): now.is_available})


def breakers(read: Callable[[], Iterable[BreakerFigures]]) -> Iterator[Metric]:
    """The state of each breaker, and what it has counted."""
    found = list(read())
    states: dict[tuple[str, ...], float] = {
        (one.name, state): float(one.state == state)
        for one in found
        for state in ("closed", "open", "half_open")
    }
    yield _gauge(families.BREAKER_STATE, states)
    yield _counter(families.BREAKER_FAILURES, {(one.name,): one.failures for one in found})
    yield _counter(families.BREAKER_OPENINGS, {(one.name,): one.opened for one in found})
    yield _counter(families.BREAKER_REFUSALS, {(one.name,): one.refused for one in found})


def places(read: Callable[[], Iterable[PlaceFigures]]) -> Iterator[Metric]:
    """How full each kind of work is, and what was refused."""
    found = list(read())
    taken: dict[tuple[str, ...], float] = {}
    for one in found:
        taken[one.name, "busy"], taken[one.name, "limit"] = one.busy, one.limit
    yield _gauge(families.PLACES, taken)
    yield _counter(families.PLACES_REFUSED, {(one.name,): one.refused for one in found})


def connections(read: Callable[[], ConnectionFigures]) -> Iterator[Metric]:
    """The database's connections and the writes that wait."""
    now = read()
    states: Values = {
        ("in_use",): now.in_use,
        ("size",): now.size,
        ("overflow",): now.overflow,
        ("max_overflow",): now.max_overflow,
    }
    yield _gauge(families.DATABASE_CONNECTIONS, states)
    yield _gauge(families.DATABASE_WRITES_WAITING, {(): now.writes_waiting})


def components(read: Callable[[], Iterable[ComponentFigures]]) -> Iterator[Metric]:
    """The dependencies of this process."""
    seen = list(read())
    yield _gauge(families.COMPONENT_HEALTH, {(one.name,): HEALTH_VALUES[one.status] for one in seen})
    yield _gauge(families.COMPONENT_LOOK, {(one.name,): one.latency_ms / 1000 for one in seen})


def resources(read: Callable[[], Resources]) -> Iterator[Metric]:
    """Processor, memory, files, disk and GPUs."""
    now = read()
    yield _counter(families.PROCESS_CPU, {(): now.cpu_s})
    memory: Values = {("server",): now.resident_bytes, ("children",): now.children_resident_bytes}
    yield _gauge(families.PROCESS_MEMORY, memory)
    yield _gauge(families.PROCESS_THREADS, {(): now.threads})
    yield _gauge(families.PROCESS_FILES, {(): now.open_files})
    yield _gauge(families.PROCESS_START, {(): now.began_s})
    yield _gauge(families.MACHINE_MEMORY, {(): now.available_bytes})
    yield _gauge(families.DISK_FREE, {(): now.disk_free_bytes})
    gpu_memory: dict[tuple[str, ...], float] = {}
    for gpu in now.gpus:
        gpu_memory[gpu.name, "used"] = gpu.used_bytes
        gpu_memory[gpu.name, "total"] = gpu.total_bytes
    yield _gauge(families.GPU_MEMORY, gpu_memory)
    yield _gauge(families.GPU_BUSY, {(gpu.name,): gpu.busy_ratio for gpu in now.gpus})


def _counter(family: Family, values: Values) -> Metric:
    metric = CounterMetricFamily(family.name, family.help, labels=family.labels)
    for labels, value in values.items():
        metric.add_metric(labels, value)
    return metric


def _gauge(family: Family, values: Values) -> Metric:
    metric = GaugeMetricFamily(family.name, family.help, labels=family.labels)
    for labels, value in values.items():
        metric.add_metric(labels, value)
    return metric
