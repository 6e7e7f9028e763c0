"""Every setting with its default, its range and one sentence on what it does."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class Section(BaseModel):
    """A section of the settings: immutable, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSettings(Section):
    """Where the HTTP server listens."""

    host: str = Field("127.0.0.1", description="Address to listen on; only loopback until there are keys.")
    port: int = Field(8321, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    shutdown_grace_s: float = Field(10.0, gt=0, description="Seconds that requests in flight get to finish.")


class StoreSettings(Section):
    """The SQL database, source of truth."""

    busy_timeout_s: float = Field(
        30.0, gt=0, description="Seconds a write waits for another process's write."
    )
    pool_size: int = Field(20, ge=1, le=200, description="Connections kept open for reading.")
    max_overflow: int = Field(10, ge=0, le=200, description="Connections opened beyond the pool under load.")
    pool_recycle_s: int = Field(3600, ge=1, description="Age at which a connection is replaced.")


class IndexSettings(Section):
    """The derived lexical and vector indexes."""

    writer_memory_mb: int = Field(32, ge=15, le=2048, description="Memory of one lexical index writer.")


class ModelsSettings(Section):
    """The embedding model."""

    embedding_path: Path | None = Field(
        None, description="Folder with model.onnx and tokenizer.json; the bundled model when unset."
    )
    runtime: Literal["auto", "onnxruntime", "openvino"] = Field(
        "auto", description="What runs the model; auto takes OpenVINO where installed and the CPU has bf16."
    )
    threads: int = Field(0, ge=0, le=256, description="Threads of the model; 0 takes the cores there are.")
    waiting_queries: int = Field(1024, ge=1, description="Query embeddings that may wait before 429.")
    bulk_callers: int = Field(64, ge=1, description="Documents that may wait for embedding before 429.")


class GeneratorSettings(Section):
    """The language model; without a base_url answers are extractive."""

    base_url: str | None = Field(
        None, description="An OpenAI-compatible server, such as http://127.0.0.1:11434/v1."
    )
    model: str = Field("", description="Name of the model at that server.")
    api_key: SecretStr = Field(SecretStr(""), description="Key sent to that server.")
    temperature: float = Field(0.0, ge=0, le=2, description="Sampling temperature.")
    max_tokens: int = Field(1024, ge=1, le=131072, description="Longest answer, in tokens.")
    timeout_s: float = Field(120.0, gt=0, description="Longest wait for the whole answer of the model.")


class IngestSettings(Section):
    """How documents come in."""

    max_file_bytes: int = Field(100 * 2**20, ge=1, description="Largest file taken in.")
    max_chunks_per_document: int = Field(50_000, ge=1, description="Most chunks one document may have.")
    chunk_strategy: Literal["structure", "semantic", "code", "table"] = Field(
        "structure", description="Where new collections cut: structure, semantic, code or table."
    )
    chunk_max_tokens: int = Field(220, ge=16, le=8192, description="Longest chunk, in tokens of the model.")
    chunk_overlap_tokens: int = Field(0, ge=0, le=4096, description="Tokens shared by neighbouring chunks.")
    parse_workers: int = Field(1, ge=1, le=64, description="Sandboxed parser processes.")
    parse_timeout_s: float = Field(20.0, gt=0, description="Wall clock for parsing one file.")
    parse_memory_mb: int = Field(2048, ge=256, description="Memory wall of a parser process.")
    max_unpacked_bytes: int = Field(
        200 * 2**20, ge=2**20, description="What a ZIP-based file (DOCX, EPUB, ...) may unpack to."
    )
    max_attachments: int = Field(
        100,
        ge=0,
        le=10_000,
        description="Attachments taken out of one e-mail, those of messages in it included.",
    )
    ocr: Literal["auto", "off"] = Field(
        "auto", description="Read scanned pages with Tesseract when installed."
    )
    ocr_language: str = Field("eng", description="Tesseract languages, joined by +.")
    concurrency: int = Field(8, ge=1, le=64, description="Documents of one add in flight at once.")
    wait_s: float = Field(30.0, ge=0, le=600, description="Seconds an upload waits before it answers 202.")
    workers: int = Field(
        4, ge=0, le=64, description="Jobs that a server works on at once; 0 leaves all to `ragstone worker`."
    )
    queue_max: int = Field(10_000, ge=1, description="Jobs that may wait; beyond, uploads are answered 429.")
    interactive_max_bytes: int = Field(
        2**20, ge=0, description="Largest file whose upload goes before bulk work unless it says otherwise."
    )
    max_attempts: int = Field(
        3, ge=1, le=100, description="Attempts that may crash or fail on a file before it is given up."
    )
    retry_backoff_s: float = Field(
        1.0, gt=0, description="First wait before a job is tried again; doubles up to 60 s, with jitter."
    )
    retry_for_s: float = Field(
        86_400.0, ge=0, description="Seconds a job is tried again while a part it needs is down."
    )
    lease_s: float = Field(
        30.0, ge=1, description="Silence after which a worker counts as dead and its jobs go to others."
    )
    keep_jobs_s: float = Field(
        604_800.0, ge=0, description="Seconds that jobs at their end are kept to look at."
    )
    allowed_roots: tuple[Path, ...] = Field(
        (), description="Folders that the server may read documents from; none when empty."
    )


class SourcesSettings(Section):
    """Sources of documents: folders, sites, repositories."""

    catalogue: Path | None = Field(
        None, description="The file that names the sources; HOME/sources.toml when unset."
    )
    max_vanished_share: float = Field(
        0.3, ge=0, le=1, description="Share of a source's documents that one sync may remove without force."
    )
    always_removed: int = Field(
        5, ge=0, description="So many vanished documents are removed whatever their share."
    )
    fetch_timeout_s: float = Field(30.0, gt=0, le=600, description="Time one page gets, redirects included.")
    max_redirects: int = Field(5, ge=0, le=20, description="Redirects followed, each one checked.")
    user_agent: str = Field(
        "ragstone",
        pattern=r"^[\x21-\x7e][\x20-\x7e]*$",
        description="What pages and robots.txt are asked as.",
    )
    crawl_delay_s: float = Field(0.5, ge=0, le=60, description="Pause between two pages of one site.")
    crawl_max_bytes: int = Field(500 * 2**20, ge=1, description="Bytes that one crawl may fetch.")
    git_timeout_s: float = Field(300.0, gt=0, description="Time one git command gets.")
    git_max_bytes: int = Field(2 * 2**30, ge=2**20, description="Largest pack that git may receive.")
    watch_debounce_s: float = Field(
        1.0, gt=0, le=60, description="Quiet time after which changes in a watched folder are looked at."
    )
    watch_polling: bool = Field(
        False, description="Poll watched folders; for network mounts, which tell of no changes."
    )
    watch_rescan_s: float = Field(
        900.0, gt=0, description="A watched folder is gone through whole at least this often."
    )


class SearchSettings(Section):
    """How questions are searched."""

    top_k: int = Field(10, ge=1, le=100, description="Hits returned when the request does not say.")
    candidates: int = Field(100, ge=1, le=1000, description="Candidates fetched from each leg.")
    fusion: Literal["score", "rrf"] = Field(
        "score", description="Fuse the legs by shares of their best score, or by reciprocal ranks."
    )
    rrf_k: int = Field(60, ge=1, description="The constant of reciprocal rank fusion.")
    lexical_weight: float = Field(1.0, ge=0, le=100, description="Weight of the lexical leg.")
    dense_weight: float = Field(1.0, ge=0, le=100, description="Weight of the dense leg.")
    leg_timeout_s: float = Field(5.0, gt=0, description="Time a leg gets before the other answers alone.")
    timeout_s: float = Field(10.0, gt=0, description="Time a search gets.")


class AnswerSettings(Section):
    """How answers are made."""

    context_tokens: int = Field(3000, ge=100, description="Budget for passages in the prompt, in tokens.")
    max_quotes: int = Field(3, ge=1, le=20, description="Most sentences an extractive answer quotes.")
    max_quote_chars: int = Field(600, ge=50, description="Most characters an extractive answer quotes.")
    timeout_s: float = Field(120.0, gt=0, description="Time an answer gets.")


class CacheSettings(Section):
    """What is remembered, how long, and how much of it; the questions that caches are warmed with."""

    enabled: bool = Field(True, description="Remember embeddings, results and answers at all.")
    query_embedding_ttl_s: float = Field(86_400.0, gt=0, description="Seconds a query embedding is kept.")
    query_embedding_max_bytes: int = Field(
        16 * 2**20, ge=0, description="Query embeddings kept in memory, in bytes; 0 turns this cache off."
    )
    retrieval_ttl_s: float = Field(3600.0, gt=0, description="Seconds a search result is kept.")
    retrieval_max_bytes: int = Field(
        32 * 2**20, ge=0, description="Search results kept in memory, in bytes; 0 turns this cache off."
    )
    answer_ttl_s: float = Field(1800.0, gt=0, description="Seconds an answer is kept.")
    answer_max_bytes: int = Field(
        32 * 2**20, ge=0, description="Answers kept in memory, in bytes; 0 turns this cache off."
    )
    generation_ttl_s: float = Field(
        86_400.0, gt=0, description="Seconds a generation is kept for the same question and passages."
    )
    generation_max_bytes: int = Field(
        16 * 2**20, ge=0, description="Generations kept in memory, in bytes; 0 turns this cache off."
    )
    semantic: bool = Field(
        False, description="Answer another wording of a question from a generation for the same evidence."
    )
    semantic_threshold: float = Field(
        0.9, ge=0, le=1, description="Least cosine between the embeddings of two wordings of one question."
    )
    semantic_max_bytes: int = Field(
        4 * 2**20, ge=0, description="Wordings of answered questions kept in memory, in bytes; 0 keeps none."
    )
    rendered_max_bytes: int = Field(
        16 * 2**20, ge=0, description="Responses kept as JSON, in bytes; 0 turns this cache off."
    )
    disk_max_bytes: int = Field(
        256 * 2**20, ge=0, description="Size of home/cache.db, used without Redis; 0 turns it off."
    )
    redis_url: SecretStr | None = Field(
        None,
        description="Redis shared by all processes: redis://, rediss://, redis+sentinel://host:26379/service "
        "or redis+cluster://host:6379.",
    )
    redis_connections: int = Field(
        50, ge=1, le=10_000, description="Connections to Redis, and calls to it at once; more wait."
    )
    redis_timeout_s: float = Field(
        0.25, gt=0, le=60, description="Time of one call to Redis, the wait for a connection included."
    )
    redis_retry_s: float = Field(
        2.0, gt=0, description="Seconds that Redis is left alone after it failed; then one call tries it."
    )
    tracked_queries: int = Field(
        1_000_000,
        ge=0,
        le=4_000_000,
        description="Different questions counted for each tenant and audience; 0 tracks none.",
    )
    query_days: int = Field(30, ge=1, le=90, description="Days for which questions are counted by day, too.")
    warm_top: int = Field(100, ge=1, le=1000, description="Most asked questions that a warming asks again.")
    warm_at_start: bool = Field(False, description="Warm the caches in the background when a server starts.")
    warm_every_s: float = Field(0.0, ge=0, description="Seconds between two warmings; 0 does without.")
    warm_after_change_s: float = Field(
        0.0,
        ge=0,
        description="Warm when the corpus has been at rest for so long after a change; 0 never does.",
    )
    warm_answers: bool = Field(
        False, description="Warm answers of a generator, too, which costs tokens; else only their searches."
    )


class TelemetrySettings(Section):
    """Logs and metrics."""

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="json for machines, console for people; auto looks whether stderr is a terminal."
    )
    metrics: bool = Field(True, description="Serve /metrics.")


class LimitsSettings(Section):
    """What one request may ask for."""

    request_max_bytes: int = Field(512 * 2**20, ge=1024, description="Largest request body.")
    query_max_chars: int = Field(8_000, ge=1, description="Longest question.")
    text_max_chars: int = Field(20_000_000, ge=1, description="Longest inline text.")
    metadata_max_bytes: int = Field(65_536, ge=2, description="Largest metadata of one document, as JSON.")


class SecuritySettings(Section):
    """Who may talk to the server."""

    allowed_hosts: tuple[str, ...] = Field(
        (), description="Host header values accepted besides the loopback names."
    )
    fetch_allowed_networks: tuple[str, ...] = Field(
        (), description="Private networks that pages may be fetched from, such as 10.1.0.0/16."
    )
    fetch_allowed_hosts: tuple[str, ...] = Field(
        (), description="Host names that pages may be fetched from at whatever address they have."
    )
    fetch_allowed_ports: tuple[int, ...] = Field(
        (80, 443), description="Ports that pages may be fetched from."
    )


class Settings(Section):
    """All settings, by section."""

    server: ServerSettings = ServerSettings()
    store: StoreSettings = StoreSettings()
    index: IndexSettings = IndexSettings()
    models: ModelsSettings = ModelsSettings()
    generator: GeneratorSettings = GeneratorSettings()
    ingest: IngestSettings = IngestSettings()
    sources: SourcesSettings = SourcesSettings()
    search: SearchSettings = SearchSettings()
    answer: AnswerSettings = AnswerSettings()
    cache: CacheSettings = CacheSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    limits: LimitsSettings = LimitsSettings()
    security: SecuritySettings = SecuritySettings()
