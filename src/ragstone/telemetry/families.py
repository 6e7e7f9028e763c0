"""The registry of metrics: every family with its name, type, labels, buckets and help, in one place.

Counters are named here without the `_total` that Prometheus' text format adds. Dashboards, alerts, the
page docs/metrics.md and the test that moves every series are made from these declarations. Label values
are bounded: routes by template, tools and stages by name, never ids or texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram", "info"]
Area = Literal[
    "http",
    "questions",
    "generation",
    "embedding",
    "ingestion",
    "caches",
    "store",
    "resilience",
    "process",
    "mcp",
]
Unit = Literal["", "seconds", "bytes"]

HTTP_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
QUESTION_BUCKETS = (
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
    2.5,
    5.0,
    10.0,
    30.0,
)
RETRIEVAL_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
GENERATION_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
JOB_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0)
WRITE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
STAGE_BUCKETS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0),
)
RATE_BUCKETS = (1.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0)
COUNT_BUCKETS = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32)
LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
SCORE_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True, slots=True)
class Family:
    """One declared metric."""

    name: str
    kind: Kind
    area: Area
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def unit(self) -> Unit:
        """As the name ends."""
        if self.name.endswith("_seconds"):
            return "seconds"
        return "bytes" if self.name.endswith("_bytes") else ""

    @property
    def series(self) -> str:
        """The name that a query reads: a counter with `_total`, a histogram by its count."""
        endings: dict[Kind, str] = {"counter": "_total", "histogram": "_count", "info": "_info", "gauge": ""}
        return self.name + endings[self.kind]


FAMILIES: dict[str, Family] = {}
"""By name, in the order in which they are declared."""


def _declare(family: Family) -> Family:
    if family.name in FAMILIES:
        raise ValueError(f"the metric {family.name!r} is declared twice")
    FAMILIES[family.name] = family
    return family


def _counter(area: Area, name: str, help_: str, *labels: str) -> Family:
    return _declare(Family(f"ragstone_{name}", "counter", area, help_, labels))


def _gauge(area: Area, name: str, help_: str, *labels: str) -> Family:
    return _declare(Family(f"ragstone_{name}", "gauge", area, help_, labels))


def _histogram(area: Area, name: str, help_: str, buckets: Sequence[float], *labels: str) -> Family:
    return _declare(Family(f"ragstone_{name}", "histogram", area, help_, labels, tuple(buckets)))


APPLICATION = _declare(Family("ragstone", "info", "process", "The running application."))

HTTP_REQUESTS = _counter("http", "http_requests", "HTTP requests answered.", "method", "route", "status")
HTTP_SECONDS = _histogram(
    "http",
    "http_request_duration_seconds",
    "Time from a request's first byte to the end of its response.",
    HTTP_BUCKETS,
    "method",
    "route",
)
HTTP_IN_FLIGHT = _gauge("http", "http_requests_in_flight", "HTTP requests that are being answered.")
HTTP_SENT = _counter("http", "http_sent_bytes", "Bytes of response bodies.")
HTTP_RECEIVED = _counter("http", "http_received_bytes", "Bytes of request bodies.")
HTTP_PROBLEMS = _counter("http", "http_problems", "Error responses by their code.", "code")

QUESTIONS = _counter(
    "questions",
    "questions",
    "Searches and questions for answers, by where the result came from.",
    "operation",
    "cache",
)
QUESTION_SECONDS = _histogram(
    "questions",
    "question_duration_seconds",
    "Time from a question to its whole result.",
    QUESTION_BUCKETS,
    "operation",
    "cache",
)
QUESTION_ERRORS = _counter("questions", "question_errors", "Questions that failed.", "operation", "code")
QUESTION_HITS = _histogram(
    "questions", "question_hits", "Passages found for a question.", COUNT_BUCKETS, "operation"
)
QUESTIONS_WITHOUT_HITS = _counter(
    "questions", "questions_without_hits", "Questions for which nothing was found.", "operation"
)
TOP_SCORE = _histogram(
    "questions", "question_top_score", "Score of the best passage of a question.", SCORE_BUCKETS, "operation"
)
RETRIEVAL_SECONDS = _histogram(
    "questions", "retrieval_duration_seconds", "Time to find passages anew.", RETRIEVAL_BUCKETS, "operation"
)
STAGE_SECONDS = _histogram(
    "questions",
    "stage_duration_seconds",
    "Time spent in one stage of an operation.",
    STAGE_BUCKETS,
    "operation",
    "stage",
)
ANSWERS = _counter("questions", "answers", "Answers by how their text came about.", "mode")
CITATIONS = _counter(
    "questions", "citations", "Citations by whether their quote still stood when checked.", "check"
)
DEGRADED = _counter("questions", "degraded", "Responses that something was missing from.", "part")

GENERATIONS = _counter(
    "generation", "generations", "Calls of the generator by how they ended.", "model", "outcome"
)
GENERATION_SECONDS = _histogram(
    "generation",
    "generation_duration_seconds",
    "Time from the prompt to the last token.",
    GENERATION_BUCKETS,
    "model",
)
FIRST_TOKEN_SECONDS = _histogram(
    "generation",
    "generation_first_token_seconds",
    "Time from the prompt to the first token.",
    GENERATION_BUCKETS,
    "model",
)
TOKENS_PER_SECOND = _histogram(
    "generation",
    "generation_tokens_per_second",
    "Tokens written per second after the first.",
    RATE_BUCKETS,
    "model",
)
GENERATOR_TOKENS = _counter("generation", "generator_tokens", "Tokens as the generator reports them.", "kind")

QUERY_EMBEDDINGS = _counter(
    "embedding", "query_embeddings", "Query embeddings by where they came from.", "source"
)
EMBEDDED_TEXTS = _counter("embedding", "embedded_texts", "Texts that the embedding model read.")
EMBEDDING_BUSY = _counter(
    "embedding", "embedding_busy_seconds", "Time that the embedding model worked, threads added up."
)
EMBEDDING_BATCHES = _histogram(
    "embedding", "embedding_batch_texts", "Texts in one run of the embedding model.", BATCH_BUCKETS
)
EMBEDDER_FALLBACKS = _counter(
    "embedding", "embedder_fallbacks", "Times that a GPU failed and the processor took over."
)
EMBEDDING_QUEUE = _gauge("embedding", "embedding_queue", "Texts and documents that wait for the model.")

DOCUMENTS_WRITTEN = _counter(
    "ingestion", "documents_written", "Documents by what a write did to them.", "status"
)
INGESTED_BYTES = _counter("ingestion", "ingested_bytes", "Bytes of files and texts taken in.")
CHUNKS_EMBEDDED = _counter("ingestion", "chunks_embedded", "Chunks embedded during ingestion.")
JOBS = _gauge("ingestion", "jobs", "Jobs in the database by state.", "state")
OLDEST_JOB = _gauge(
    "ingestion", "jobs_oldest_queued_seconds", "Age of the oldest job that waits; 0 when none does."
)
JOB_ATTEMPTS = _counter(
    "ingestion",
    "job_attempts",
    "Attempts at jobs by what they came to: ready, failed, postponed, cancelled, handed_back.",
    "outcome",
)
JOB_SECONDS = _histogram(
    "ingestion", "job_attempt_duration_seconds", "Time of one attempt at a job.", JOB_BUCKETS, "outcome"
)
SOURCE_RUNS = _counter("ingestion", "source_runs", "Syncs of sources by how they ended.", "state")
SOURCE_ITEMS = _counter(
    "ingestion", "source_items", "Documents of sources by what a sync did to them.", "outcome"
)

CACHE_LOOKUPS = _counter(
    "caches", "cache_lookups", "Lookups by where the value lay; or miss.", "cache", "found"
)
CACHE_SETS = _counter("caches", "cache_sets", "Values kept.", "cache")
CACHE_ERRORS = _counter("caches", "cache_errors", "Entries that could not be read or kept.", "cache")
CACHE_SAVED = _counter(
    "caches", "cache_saved_seconds", "What making the values that were found had taken.", "cache"
)
CACHE_SAVED_TOKENS = _counter(
    "caches", "cache_saved_tokens", "Tokens of generations that were used again.", "cache"
)
CACHE_ENTRIES = _gauge("caches", "cache_entries", "Entries in memory.", "cache")
CACHE_BYTES = _gauge("caches", "cache_bytes", "Bytes in memory.", "cache")
REDIS_CALLS = _gauge("caches", "redis_calls", "Calls to Redis on their way, waiting, and the limit.", "state")
REDIS_FAILURES = _counter("caches", "redis_failures", "Calls to Redis that failed.")
REDIS_UP = _gauge("caches", "redis_up", "Whether Redis answers; 0 while it is left alone.")
QUERIES_TRACKED = _counter(
    "caches",
    "queries_tracked",
    "Questions by what tracking did with them: recorded, dropped, evicted.",
    "outcome",
)
ANSWER_TRACES = _counter(
    "questions", "answer_traces", "Traces of answers by what became of them: kept, dropped.", "outcome"
)
QUERIES_WAITING = _gauge(
    "caches", "queries_waiting", "Different questions counted in memory and not stored yet."
)
LOG_ROWS = _counter(
    "questions",
    "log_rows",
    "Rows of the log by table: stored, or dropped as too many wait.",
    "table",
    "outcome",
)
LOG_WAITING = _gauge("questions", "log_waiting_rows", "Rows of the log in memory that are not stored yet.")
LOG_WRITE_SECONDS = _histogram(
    "questions", "log_write_seconds", "Time of storing one batch of the log.", WRITE_BUCKETS
)
WARMING_RUNS = _counter(
    "caches", "cache_warming_runs", "Warmings by how they ended: done, cancelled, failed.", "state"
)
WARMED_REQUESTS = _counter(
    "caches",
    "cache_warmed_requests",
    "Requests asked again by warmings, by outcome: warmed, failed, skipped.",
    "outcome",
)
PREFETCHED_REQUESTS = _counter(
    "caches",
    "cache_prefetched_requests",
    "Likely follow-ups: warmed, known (cached before), failed, skipped, late (no rest), used (asked then).",
    "outcome",
)

CORPUS_VERSION = _gauge("store", "corpus_version", "Version that the indexes of this process have applied.")
CORPUS_DOCUMENTS = _gauge("store", "documents", "Documents in the database.")
CORPUS_CHUNKS = _gauge("store", "chunks", "Chunks in the database.")
COLLECTIONS = _gauge("store", "collections", "Collections in the database.")
INDEX_BEHIND = _gauge(
    "store", "index_behind_versions", "Committed changes that the indexes of this process have not applied."
)
DATABASE_WRITES = _histogram(
    "store", "database_write_seconds", "Time of one write transaction, its turn aside.", WRITE_BUCKETS
)
DATABASE_WAITS = _histogram(
    "store", "database_write_wait_seconds", "Time that a write waited for its turn.", WRITE_BUCKETS
)
DATABASE_ERRORS = _counter("store", "database_errors", "Reads and writes that the database failed.", "kind")
DATABASE_BYTES = _gauge("store", "database_bytes", "Size of the database's files.", "file")

DATABASE_CONNECTIONS = _gauge(
    "store",
    "database_connections",
    "Reading connections: in_use, beyond the pool (overflow), and the limits of both.",
    "state",
)
DATABASE_WRITES_WAITING = _gauge("store", "database_writes_waiting", "Writes that wait for their turn.")

BREAKER_STATE = _gauge(
    "resilience", "breaker_state", "1 for the state that each breaker is in.", "dependency", "state"
)
BREAKER_FAILURES = _counter(
    "resilience", "breaker_failures", "Failed calls of each dependency.", "dependency"
)
BREAKER_OPENINGS = _counter("resilience", "breaker_openings", "How often each breaker opened.", "dependency")
BREAKER_REFUSALS = _counter(
    "resilience", "breaker_refusals", "Calls that an open breaker refused.", "dependency"
)
PLACES = _gauge("resilience", "places", "Places for work at one time: busy, and the limit.", "of", "state")
PLACES_REFUSED = _counter("resilience", "places_refused", "Work refused because every place was taken.", "of")
LOOP_LAG = _histogram(
    "resilience",
    "event_loop_lag_seconds",
    "How much later than asked the event loop woke a probe.",
    LAG_BUCKETS,
)

COMPONENT_HEALTH = _gauge(
    "process",
    "component_health",
    "Each dependency when last seen: 1 ok, 0.5 degraded, 0 failed.",
    "component",
)
COMPONENT_LOOK = _gauge(
    "process", "component_look_seconds", "Time of the last look at each dependency.", "component"
)
PROCESS_CPU = _counter("process", "process_cpu_seconds", "Processor time of this process.")
PROCESS_MEMORY = _gauge(
    "process", "process_resident_bytes", "Resident memory of this process and of its parsers.", "of"
)
PROCESS_THREADS = _gauge("process", "process_threads", "Threads of this process.")
PROCESS_FILES = _gauge("process", "process_open_files", "Open files and sockets of this process.")
PROCESS_START = _gauge("process", "process_start_time_seconds", "When this process began, since 1970.")
MACHINE_MEMORY = _gauge("process", "machine_available_bytes", "Memory that the machine has left.")
DISK_FREE = _gauge("process", "disk_free_bytes", "Space left where the home lies.")
GPU_MEMORY = _gauge("process", "gpu_memory_bytes", "Memory of each GPU.", "device", "state")
GPU_BUSY = _gauge("process", "gpu_busy_ratio", "Share of the time in which each GPU worked.", "device")

MCP_CALLS = _counter("mcp", "mcp_calls", "Calls of MCP tools by how they ended.", "tool", "outcome")
MCP_SECONDS = _histogram(
    "mcp", "mcp_call_duration_seconds", "Time of one call of an MCP tool.", HTTP_BUCKETS, "tool"
)
