"""The tables of the truth, as SQLAlchemy Core objects; migrations create them.

Rows hold live state only: replacing a document deletes the rows of its old version in the same
transaction. Chunk and document keys are 63-bit integers that are never used twice.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

# SQLite takes AUTOINCREMENT only on a column declared INTEGER.
Key = BigInteger().with_variant(Integer, "sqlite")

meta = Table(
    "meta",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)
"""`epoch`: random, renewed by restore, repair and migration; part of every cache key."""

corpus = Table(
    "corpus",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version", Key, nullable=False),
    Column("last_chunk_key", Key, nullable=False),
)
"""One row. `version` is raised by every change, in commit order; `last_chunk_key` only ever grows, so a
chunk key is never used twice."""

collections = Table(
    "collections",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("tenant_id", String(64), nullable=False),
    Column("name", String(63), nullable=False),
    Column("language", String(16), nullable=False),
    Column("chunk_max_tokens", Integer, nullable=False),
    Column("chunk_overlap_tokens", Integer, nullable=False),
    Column("chunk_strategy", String(16), nullable=False, server_default="structure"),
    Column("model_id", String(200), nullable=False),
    Column("model_revision", String(64), nullable=False),
    Column("model_precision", String(16), nullable=False),
    Column("dim", Integer, nullable=False),
    Column("metric", String(16), nullable=False),
    Column("vector_dtype", String(16), nullable=False),
    Column("version", Key, nullable=False),
    Column("created_at", String(32), nullable=False),
    UniqueConstraint("tenant_id", "name", name="uq_collections_tenant_id_name"),
)

documents = Table(
    "documents",
    metadata,
    Column("key", Key, primary_key=True, autoincrement=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("tenant_id", String(64), nullable=False),
    Column("collection_id", String(36), ForeignKey("collections.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("title", Text, nullable=False),
    Column("source", Text),
    Column("media_type", String(200), nullable=False),
    Column("language", String(32)),
    Column("content_sha256", String(64), nullable=False),
    Column("blob_sha256", String(64)),
    Column("size_bytes", Key, nullable=False),
    Column("char_count", Integer, nullable=False),
    Column("chunk_count", Integer, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("is_restricted", Boolean(create_constraint=False), nullable=False),
    Column("warnings", JSON, nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("updated_at", String(32), nullable=False),
    Column("parent_key", Key, ForeignKey("documents.key")),
    Column("attachment_name", Text),
    Index("ix_documents_collection_id_key", "collection_id", "key"),
    Index("uq_documents_collection_id_source", "collection_id", "source", unique=True),
    Index("ix_documents_collection_id_content", "collection_id", "content_sha256"),
    Index("ix_documents_blob_sha256", "blob_sha256"),
    Index("ix_documents_parent_key", "parent_key"),
    sqlite_autoincrement=True,
)
"""An attachment names the document that it came with, however deep it lay, and its way from there."""

document_groups = Table(
    "document_groups",
    metadata,
    Column(
        "document_key",
        Key,
        ForeignKey("documents.key", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("access_group", String(200), primary_key=True),
)
"""Who may read a restricted document; a document without rows here is open to its tenant."""

text_segments = Table(
    "text_segments",
    metadata,
    Column(
        "document_key",
        Key,
        ForeignKey("documents.key", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("start", Integer, primary_key=True, autoincrement=False),
    Column("end", Integer, nullable=False),
    Column("text", Text, nullable=False),
)
"""The stored text, once, in pieces: a chunk of a long document is read without reading all of it."""

sections = Table(
    "sections",
    metadata,
    Column(
        "document_key",
        Key,
        ForeignKey("documents.key", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("kind", String(8), primary_key=True),
    Column("start", Integer, primary_key=True, autoincrement=False),
    Column("end", Integer, nullable=False),
    Column("page", Integer),
    Column("path", JSON(none_as_null=True)),
)
"""Span tables: kind `page` with its number, kind `section` with its heading path."""

chunks = Table(
    "chunks",
    metadata,
    Column("key", Key, primary_key=True, autoincrement=False),
    Column("id", String(36), nullable=False, unique=True),
    Column("document_key", Key, ForeignKey("documents.key", ondelete="CASCADE"), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("start", Integer, nullable=False),
    Column("end", Integer, nullable=False),
    Column("page", Integer),
    Column("heading_path", JSON, nullable=False),
    Column("token_count", Integer),
    Column("embedded_sha256", LargeBinary(32), nullable=False),
    Index("ix_chunks_document_key", "document_key", "ordinal"),
)

vectors = Table(
    "vectors",
    metadata,
    Column(
        "chunk_key", Key, ForeignKey("chunks.key", ondelete="CASCADE"), primary_key=True, autoincrement=False
    ),
    Column("embedding", LargeBinary, nullable=False),
)
"""float32 little-endian, unit length; the collection says model, revision and dim."""

change_log = Table(
    "change_log",
    metadata,
    Column("version", Key, primary_key=True, autoincrement=False),
    Column("collection_id", String(36), primary_key=True),
    Column("document_key", Key, primary_key=True, autoincrement=False),
    Column("op", String(8), nullable=False),
)
"""What derived indexes must look at again: op `document` (put or gone: the rows tell) or `dropped`."""

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("tenant_id", String(64), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("stage", String(32), nullable=False),
    Column("stage_done", Integer, nullable=False, server_default="0"),
    Column("stage_total", Integer, nullable=False, server_default="0"),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("collection", String(63), nullable=False, server_default=""),
    Column("target", String(64)),
    Column("replaced_version", Integer),
    Column("source_name", String(200)),
    Column("blob_sha256", String(64)),
    Column("size_bytes", Key, nullable=False, server_default="0"),
    Column("document_id", String(36), nullable=False),
    Column("name", Text, nullable=False),
    Column("payload", JSON, nullable=False),
    Column("result", JSON(none_as_null=True)),
    Column("history", JSON(none_as_null=True)),
    Column("attempts", Integer, nullable=False),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("lease_owner", String(200)),
    Column("lease_until", String(32)),
    Column("run_after", String(32), nullable=False, server_default=""),
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("created_at", String(32), nullable=False),
    Column("started_at", String(32)),
    Column("finished_at", String(32)),
    Column("updated_at", String(32), nullable=False),
    Index("ix_jobs_state_priority_id", "state", "priority", "id"),
    Index("ix_jobs_target", "target"),
    Index("ix_jobs_blob_sha256", "blob_sha256"),
)
"""`target` names the document that a job is to make (by id, or by collection and source): jobs of one target
run one after the other, and `replaced_version` is what the job may replace. `blob_sha256` keeps the original
while somebody may need it."""

sources = Table(
    "sources",
    metadata,
    Column("tenant_id", String(64), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("run_id", String(36)),
    Column("lease_until", String(32)),
    Column("next_run_at", String(32)),
)
"""A source of documents that was synced at least once: who syncs it now, and when it is due again."""

source_items = Table(
    "source_items",
    metadata,
    Column("tenant_id", String(64), primary_key=True),
    Column("source_name", Text, primary_key=True),
    Column("uri", Text, primary_key=True),
    Column("collection", String(63), nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("content_sha256", String(64), nullable=False),
    Column("entry_digest", String(64), nullable=False),
    Column("document_id", String(36)),
    Column("memo", JSON, nullable=False),
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("updated_at", String(32), nullable=False),
    Index("ix_source_items_document_id", "document_id"),
)
"""What a source held at its last sync. A row without fingerprint is work that was begun and not ended;
`memo` is what the source wants to be told next time (validators, links)."""

source_runs = Table(
    "source_runs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("tenant_id", String(64), nullable=False),
    Column("source_name", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("counts", JSON, nullable=False),
    Column("failures", JSON, nullable=False),
    Column("note", Text),
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("started_at", String(32), nullable=False),
    Column("finished_at", String(32)),
    Index("ix_source_runs_source_name", "tenant_id", "source_name", "started_at"),
)

query_scopes = Table(
    "query_scopes",
    metadata,
    Column("id", Key, primary_key=True, autoincrement=True),
    Column("tenant_id", String(64), nullable=False),
    Column("audience", Text, nullable=False),
    Column("tracked", Integer, nullable=False),
    Column("erased_ms", Key),
    Index("ix_query_scopes_tenant_id", "tenant_id", "audience"),
    sqlite_autoincrement=True,
)
"""Whose questions are counted together: the askers of one tenant who may read the same documents. `audience`
is empty for those who read everything, else their access groups as JSON. An erased scope is found by nobody;
its rows go slice by slice. `tracked` counts its questions."""

queries = Table(
    "queries",
    metadata,
    Column("id", Key, primary_key=True, autoincrement=True),
    Column("scope_id", Key, nullable=False),
    Column("digest", LargeBinary(16), nullable=False),
    Column("question", Text, nullable=False),
    Column("folded", Text, nullable=False),
    Column("asked", Integer, nullable=False),
    Column("level", Integer, nullable=False),
    Column("first_ms", Key, nullable=False),
    Column("last_ms", Key, nullable=False),
    Column("collections", Text, nullable=False),
    Column("request", Text),
    Column("terms", LargeBinary),
    Index("uq_queries_scope_id_digest", "scope_id", "digest", unique=True),
    Index("ix_queries_scope_id_level_folded", "scope_id", "level", "folded"),
    Index("ix_queries_scope_id_asked", "scope_id", "asked", "last_ms"),
    sqlite_autoincrement=True,
)
"""A question that was asked, once for every way of writing it. `level` is `asked` on a coarse scale, so that
the index of completions is touched only when a question becomes about an eighth more popular. `request` is
its last asking as JSON, without what a default says; `terms` are its rows in `query_terms`."""

query_days = Table(
    "query_days",
    metadata,
    Column("query_id", Key, primary_key=True, autoincrement=False),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("scope_id", Key, nullable=False),
    Column("asked", Integer, nullable=False),
    Index("ix_query_days_scope_id_day_asked", "scope_id", "day", "asked"),
    sqlite_with_rowid=False,
)
"""How often a question was asked on a day, in days since 1970 UTC."""

query_totals = Table(
    "query_totals",
    metadata,
    Column("scope_id", Key, primary_key=True, autoincrement=False),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("asked", Integer, nullable=False),
    Column("distinct_count", Integer, nullable=False),
    Column("answers", Integer, nullable=False),
    Column("without_hits", Integer, nullable=False),
    sqlite_with_rowid=False,
)

query_words = Table(
    "query_words",
    metadata,
    Column("scope_id", Key, primary_key=True, autoincrement=False),
    Column("word", Key, primary_key=True, autoincrement=False),
    Column("held_by", Integer, nullable=False),
    sqlite_with_rowid=False,
)
"""In how many questions a word stands, by its 64-bit digest."""

query_terms = Table(
    "query_terms",
    metadata,
    Column("scope_id", Key, primary_key=True, autoincrement=False),
    Column("term", Key, primary_key=True, autoincrement=False),
    Column("query_id", Key, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
"""Rare words of questions, and pairs of them, by 64-bit digests: where similar questions are looked for."""

query_follow_ups = Table(
    "query_follow_ups",
    metadata,
    Column("query_id", Key, primary_key=True, autoincrement=False),
    Column("next_id", Key, primary_key=True, autoincrement=False),
    Column("asked", Integer, nullable=False),
    Column("last_ms", Key, nullable=False),
    Index("ix_query_follow_ups_next_id", "next_id"),
    sqlite_with_rowid=False,
)
"""How often a question of the same scope was the next one of whoever had asked another."""

query_erasures = Table(
    "query_erasures",
    metadata,
    Column("tenant_id", String(64), primary_key=True),
    Column("digest", LargeBinary(16), primary_key=True),
    Column("erased_ms", Key, nullable=False),
    sqlite_with_rowid=False,
)
"""Questions (all of a tenant's where `digest` is empty) erased a moment ago: what other processes have
counted but not stored yet is dropped by it. A row lives for as long as an asking may wait to be stored."""
