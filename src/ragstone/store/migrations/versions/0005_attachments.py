"""Attachments are documents that hang on the one they came with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add both columns; documents that are there came by themselves."""
    parent = sa.Column("parent_key", KEY, sa.ForeignKey("documents.key"), nullable=True)
    # SQLite takes a foreign key only in the statement that adds its column.
    op.add_column("documents", parent, inline_references=True)
    op.add_column("documents", sa.Column("attachment_name", sa.Text(), nullable=True))
    op.create_index("ix_documents_parent_key", "documents", ["parent_key"], unique=False)


def downgrade() -> None:
    """Drop both columns."""
    op.drop_index("ix_documents_parent_key", table_name="documents")
    op.drop_column("documents", "attachment_name")
    op.drop_column("documents", "parent_key")
