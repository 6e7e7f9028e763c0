"""Questions that were asked: how often, when, by day; their completions and their rare words."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the seven tables."""
    _create_queries()
    op.create_table(
        "query_days",
        sa.Column("query_id", KEY, autoincrement=False, nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("scope_id", KEY, nullable=False),
        sa.Column("asked", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("query_id", "day"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_query_days_scope_id_day_asked", "query_days", ["scope_id", "day", "asked"])
    op.create_table(
        "query_totals",
        sa.Column("scope_id", KEY, autoincrement=False, nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("asked", sa.Integer(), nullable=False),
        sa.Column("distinct_count", sa.Integer(), nullable=False),
        sa.Column("answers", sa.Integer(), nullable=False),
        sa.Column("without_hits", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("scope_id", "day"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "query_words",
        sa.Column("scope_id", KEY, autoincrement=False, nullable=False),
        sa.Column("word", KEY, autoincrement=False, nullable=False),
        sa.Column("held_by", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("scope_id", "word"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "query_terms",
        sa.Column("scope_id", KEY, autoincrement=False, nullable=False),
        sa.Column("term", KEY, autoincrement=False, nullable=False),
        sa.Column("query_id", KEY, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("scope_id", "term", "query_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "query_erasures",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=16), nullable=False),
        sa.Column("erased_ms", KEY, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "digest"),
        sqlite_with_rowid=False,
    )


def _create_queries() -> None:
    op.create_table(
        "query_scopes",
        sa.Column("id", KEY, autoincrement=True, nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("audience", sa.Text(), nullable=False),
        sa.Column("tracked", sa.Integer(), nullable=False),
        sa.Column("erased_ms", KEY, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_query_scopes_tenant_id", "query_scopes", ["tenant_id", "audience"])
    op.create_table(
        "queries",
        sa.Column("id", KEY, autoincrement=True, nullable=False),
        sa.Column("scope_id", KEY, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=16), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.Column("asked", sa.Integer(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("first_ms", KEY, nullable=False),
        sa.Column("last_ms", KEY, nullable=False),
        sa.Column("collections", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=True),
        sa.Column("terms", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_queries_scope_id_digest", "queries", ["scope_id", "digest"], unique=True)
    op.create_index("ix_queries_scope_id_level_folded", "queries", ["scope_id", "level", "folded"])
    op.create_index("ix_queries_scope_id_asked", "queries", ["scope_id", "asked", "last_ms"])


def downgrade() -> None:
    """Drop the seven tables."""
    for name in ("query_erasures", "query_terms", "query_words", "query_totals", "query_days"):
        op.drop_table(name)
    op.drop_table("queries")
    op.drop_table("query_scopes")
