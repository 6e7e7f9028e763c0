"""The tables of the log: what was asked, which documents it came to, what went wrong, how the machine was.

They lie in a file of their own (docs/adr/0006-log-file.md). Times are milliseconds since 1970, UTC. A row's
number begins with its time (`first_number`) and is the primary key, or begins it: rows lie in order of time,
and a database that partitions by range can part them by it. No row holds text of a document: file names and
titles are read from the truth when somebody looks.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    text,
)

log_metadata = MetaData()

Flag = Boolean(create_constraint=False)
Json = JSON(none_as_null=True)


NUMBER_BITS = 20
"""Of a row's number, below its time."""


def first_number(at_ms: int) -> int:
    """The lowest number that a row of this time can have; numbers reach to the year 2248."""
    return min(at_ms << NUMBER_BITS, 2**63 - 1)


def _number(name: str = "id") -> Column[int]:
    # SQLite keeps a table in the order of a key that is declared INTEGER.
    return Column(name, BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False)


query_logs = Table(
    "query_logs",
    log_metadata,
    _number(),
    Column("at_ms", BigInteger, nullable=False),
    Column("tenant_id", String(64), nullable=False),
    Column("audience", Text, nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("answer_id", String(36)),
    Column("hits_of", BigInteger),
    Column("kind", String(8), nullable=False),
    Column("question", Text),
    Column("question_hash", String(32), nullable=False),
    Column("door", String(8), nullable=False),
    Column("client", String(200), nullable=False),
    Column("user_id", String(200)),
    Column("collections", Json, nullable=False),
    Column("retrieval_ms", Float),
    Column("generation_ms", Float),
    Column("total_ms", Float),
    Column("source_count", Integer),
    Column("citation_count", Integer),
    Column("relevance_scores", Json),
    Column("mean_relevance", Float),
    Column("best_relevance", Float),
    Column("answer_mode", String(16)),
    Column("model", String(200)),
    Column("prompt_tokens", Integer, nullable=False),
    Column("completion_tokens", Integer, nullable=False),
    Column("cost", Float),
    Column("mode", String(8), nullable=False),
    Column("is_hybrid", Flag, nullable=False),
    Column("is_reranked", Flag, nullable=False),
    Column("expansion_count", Integer, nullable=False),
    Column("cache", String(16), nullable=False),
    Column("degraded", Json, nullable=False),
    Column("is_degraded", Flag, nullable=False),
    Column("is_success", Flag, nullable=False),
    Column("error_code", String(64)),
    Column("corpus_version", BigInteger, nullable=False),
    Column("metadata", Json, nullable=False),
    Index("ix_query_logs_time", "tenant_id", "at_ms"),
    Index("ix_query_logs_client", "tenant_id", "client", "at_ms"),
    Index("ix_query_logs_question", "tenant_id", "question_hash", "at_ms"),
    Index("ix_query_logs_cache", "tenant_id", "cache", "at_ms"),
    # Of what is rare, an index of that alone: it costs nothing where nothing is wrong.
    Index("ix_query_logs_failed", "tenant_id", "at_ms", sqlite_where=text("is_success = 0")),
    Index("ix_query_logs_without_hits", "tenant_id", "at_ms", sqlite_where=text("source_count = 0")),
    Index("ix_query_logs_degraded", "tenant_id", "at_ms", sqlite_where=text("is_degraded = 1")),
    Index("ix_query_logs_reranked", "tenant_id", "at_ms", sqlite_where=text("is_reranked = 1")),
    Index("ix_query_logs_one_leg", "tenant_id", "at_ms", sqlite_where=text("is_hybrid = 0")),
    Index("ix_query_logs_expanded", "tenant_id", "at_ms", sqlite_where=text("expansion_count > 0")),
    Index("ix_query_logs_user", "tenant_id", "user_id", "at_ms", sqlite_where=text("user_id IS NOT NULL")),
)
"""A search or a question for an answer. `hits_of` is the request that the accesses of its hits are kept
under: its own, or the one whose response was sent again; None without hits. Tokens and cost are what it spent
itself: none when the answer came from a cache. `relevance_scores` are its hits', best first."""

document_accesses = Table(
    "document_accesses",
    log_metadata,
    _number("query_id"),
    Column("rank", Integer, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("tenant_id", String(64), nullable=False),
    Column("document_id", String(36), nullable=False),
    Column("chunk_id", String(36), nullable=False),
    Column("score", Float, nullable=False),
    Column("is_cited", Flag, nullable=False),
    Column("is_first", Flag, nullable=False),
    # Without a rowid each entry goes on with the primary key, so with the time.
    Index("ix_document_accesses_document", "tenant_id", "document_id"),
    sqlite_with_rowid=False,
)
"""A hit of a request, whether its answer quoted it, and whether it is the request's first of this document.
File name and title are the document's own."""

error_logs = Table(
    "error_logs",
    log_metadata,
    _number(),
    Column("at_ms", BigInteger, nullable=False),
    Column("tenant_id", String(64), nullable=False),
    Column("type", String(200), nullable=False),
    Column("code", String(64), nullable=False),
    Column("message", Text, nullable=False),
    Column("stack", Text),
    Column("service", String(16), nullable=False),
    Column("operation", String(200), nullable=False),
    Column("client", String(200), nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("severity", String(8), nullable=False),
    Column("metadata", Json, nullable=False),
    Index("ix_error_logs_time", "tenant_id", "at_ms"),
    Index("ix_error_logs_type", "tenant_id", "type", "at_ms"),
    Index("ix_error_logs_service", "tenant_id", "service", "at_ms"),
    Index("ix_error_logs_severity", "tenant_id", "severity", "at_ms"),
    Index("ix_error_logs_client", "tenant_id", "client", "at_ms"),
)
"""An error as its class describes it; the words of requests and documents are not in it."""

system_metrics = Table(
    "system_metrics",
    log_metadata,
    _number(),
    Column("at_ms", BigInteger, nullable=False),
    Column("process", String(64), nullable=False),
    Column("tenant_id", String(64), nullable=False),
    Column("cpu_percent", Float),
    Column("memory_bytes", BigInteger),
    Column("gpu_percent", Float),
    Column("gpu_memory_bytes", BigInteger),
    Column("connections", Integer),
    Column("cache_hit_rate", Float),
    Column("documents", Integer),
    Column("chunks", Integer),
    Column("mean_query_ms", Float),
    Column("mean_retrieval_ms", Float),
    Column("mean_generation_ms", Float),
    Column("queries_per_minute", Float, nullable=False),
    Index("ix_system_metrics_time", "tenant_id", "at_ms"),
)
"""How one process was doing since its last row; what could not be measured is NULL."""

log_erasures = Table(
    "log_erasures",
    log_metadata,
    Column("tenant_id", String(64), primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("subject", String(200), primary_key=True),
    Column("erased_ms", BigInteger, nullable=False),
)
"""What was erased a moment ago: rows of it that other processes have not stored yet are dropped by it."""

TABLES = {table.name: table for table in (query_logs, document_accesses, error_logs, system_metrics)}
"""Those that hold what happened, by name."""
