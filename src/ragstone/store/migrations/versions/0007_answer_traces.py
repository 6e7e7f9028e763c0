"""Traces of answers: how each came about."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "answer_traces",
        sa.Column("answer_id", sa.String(36), nullable=False),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("audience", sa.Text(), nullable=False),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("digest", sa.LargeBinary(16), nullable=False),
        sa.Column("at_ms", KEY, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("answer_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_answer_traces_at_ms", "answer_traces", ["at_ms"])
    op.create_index("ix_answer_traces_request_id", "answer_traces", ["request_id"])
    op.create_index("ix_answer_traces_tenant_id_digest", "answer_traces", ["tenant_id", "digest"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("answer_traces")
