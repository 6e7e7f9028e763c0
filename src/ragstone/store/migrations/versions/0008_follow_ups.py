"""Which questions are asked after which."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "query_follow_ups",
        sa.Column("query_id", KEY, autoincrement=False, nullable=False),
        sa.Column("next_id", KEY, autoincrement=False, nullable=False),
        sa.Column("asked", sa.Integer(), nullable=False),
        sa.Column("last_ms", KEY, nullable=False),
        sa.PrimaryKeyConstraint("query_id", "next_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_query_follow_ups_next_id", "query_follow_ups", ["next_id"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("query_follow_ups")
