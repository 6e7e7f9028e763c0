"""How a collection cuts, and how many tokens a chunk has; chunks stored before have no count."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both columns; collections that are there were cut by structure."""
    op.add_column(
        "collections",
        sa.Column("chunk_strategy", sa.String(length=16), nullable=False, server_default="structure"),
    )
    op.add_column("chunks", sa.Column("token_count", sa.Integer(), nullable=True))


def downgrade() -> None:
    """Drop both columns."""
    op.drop_column("chunks", "token_count")
    op.drop_column("collections", "chunk_strategy")
