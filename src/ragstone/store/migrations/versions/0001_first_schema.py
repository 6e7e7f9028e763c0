"""The first schema: documents, chunks, vectors, versions, change log, jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "change_log",
        sa.Column("version", KEY, autoincrement=False, nullable=False),
        sa.Column("collection_id", sa.String(length=36), nullable=False),
        sa.Column("document_key", KEY, autoincrement=False, nullable=False),
        sa.Column("op", sa.String(length=8), nullable=False),
        sa.PrimaryKeyConstraint("version", "collection_id", "document_key"),
    )
    op.create_table(
        "collections",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("language", sa.String(length=16), nullable=False),
        sa.Column("chunk_max_tokens", sa.Integer(), nullable=False),
        sa.Column("chunk_overlap_tokens", sa.Integer(), nullable=False),
        sa.Column("model_id", sa.String(length=200), nullable=False),
        sa.Column("model_revision", sa.String(length=64), nullable=False),
        sa.Column("model_precision", sa.String(length=16), nullable=False),
        sa.Column("dim", sa.Integer(), nullable=False),
        sa.Column("metric", sa.String(length=16), nullable=False),
        sa.Column("vector_dtype", sa.String(length=16), nullable=False),
        sa.Column("version", KEY, nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("tenant_id", "name", name="uq_collections_tenant_id_name"),
    )
    op.create_table(
        "corpus",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version", KEY, nullable=False),
        sa.Column("last_chunk_key", KEY, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("stage", sa.String(length=32), nullable=False),
        sa.Column("document_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.String(length=32), nullable=True),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.Column("updated_at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_jobs_state", "jobs", ["state", "created_at"], unique=False)
    op.create_table(
        "meta",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "documents",
        sa.Column("key", KEY, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("collection_id", sa.String(length=36), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("media_type", sa.String(length=200), nullable=False),
        sa.Column("language", sa.String(length=32), nullable=True),
        sa.Column("content_sha256", sa.String(length=64), nullable=False),
        sa.Column("blob_sha256", sa.String(length=64), nullable=True),
        sa.Column("size_bytes", KEY, nullable=False),
        sa.Column("char_count", sa.Integer(), nullable=False),
        sa.Column("chunk_count", sa.Integer(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("is_restricted", sa.Boolean(), nullable=False),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.Column("updated_at", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["collection_id"],
            ["collections.id"],
        ),
        sa.PrimaryKeyConstraint("key"),
        sa.UniqueConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_documents_blob_sha256", "documents", ["blob_sha256"], unique=False)
    op.create_index(
        "ix_documents_collection_id_content", "documents", ["collection_id", "content_sha256"], unique=False
    )
    op.create_index("ix_documents_collection_id_key", "documents", ["collection_id", "key"], unique=False)
    op.create_index(
        "uq_documents_collection_id_source", "documents", ["collection_id", "source"], unique=True
    )
    op.create_table(
        "chunks",
        sa.Column("key", KEY, autoincrement=False, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("document_key", KEY, nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("end", sa.Integer(), nullable=False),
        sa.Column("page", sa.Integer(), nullable=True),
        sa.Column("heading_path", sa.JSON(), nullable=False),
        sa.Column("embedded_sha256", sa.LargeBinary(length=32), nullable=False),
        sa.ForeignKeyConstraint(["document_key"], ["documents.key"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("ix_chunks_document_key", "chunks", ["document_key", "ordinal"], unique=False)
    op.create_table(
        "document_groups",
        sa.Column("document_key", KEY, autoincrement=False, nullable=False),
        sa.Column("access_group", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["document_key"], ["documents.key"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("document_key", "access_group"),
    )
    op.create_table(
        "sections",
        sa.Column("document_key", KEY, autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("start", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("end", sa.Integer(), nullable=False),
        sa.Column("page", sa.Integer(), nullable=True),
        sa.Column("path", sa.JSON(none_as_null=True), nullable=True),
        sa.ForeignKeyConstraint(["document_key"], ["documents.key"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("document_key", "kind", "start"),
    )
    op.create_table(
        "text_segments",
        sa.Column("document_key", KEY, autoincrement=False, nullable=False),
        sa.Column("start", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("end", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["document_key"], ["documents.key"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("document_key", "start"),
    )
    op.create_table(
        "vectors",
        sa.Column("chunk_key", KEY, autoincrement=False, nullable=False),
        sa.Column("embedding", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["chunk_key"], ["chunks.key"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("chunk_key"),
    )


def downgrade() -> None:
    """Drop every table."""
    for name in (
        "vectors",
        "text_segments",
        "sections",
        "document_groups",
        "chunks",
        "documents",
        "meta",
        "jobs",
        "corpus",
        "collections",
        "change_log",
    ):
        op.drop_table(name)
