"""Durable jobs: priority, lease owner, progress, attempts, result; open jobs of before go on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def new_columns() -> tuple[sa.Column[object], ...]:
    """Fresh ones: a column belongs to the table that it was added to."""
    return (
        sa.Column("stage_done", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("stage_total", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("priority", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("collection", sa.String(63), nullable=False, server_default=""),
        sa.Column("target", sa.String(64)),
        sa.Column("replaced_version", sa.Integer()),
        sa.Column("source_name", sa.String(200)),
        sa.Column("blob_sha256", sa.String(64)),
        sa.Column("size_bytes", KEY, nullable=False, server_default="0"),
        sa.Column("result", sa.JSON(none_as_null=True)),
        sa.Column("history", sa.JSON(none_as_null=True)),
        sa.Column("failures", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("lease_owner", sa.String(200)),
        sa.Column("run_after", sa.String(32), nullable=False, server_default=""),
        sa.Column("started_at", sa.String(32)),
        sa.Column("finished_at", sa.String(32)),
    )


INDEXES = (
    ("ix_jobs_state_priority_id", ["state", "priority", "id"]),
    ("ix_jobs_target", ["target"]),
    ("ix_jobs_blob_sha256", ["blob_sha256"]),
)


def upgrade() -> None:
    """Add the columns; a job that was running is found abandoned by the first worker."""
    for column in new_columns():
        op.add_column("jobs", column)
    jobs = sa.table(
        "jobs",
        *(sa.column(name) for name in ("state", "collection", "blob_sha256", "lease_owner")),
        sa.column("started_at"),
        sa.column("created_at"),
        sa.column("finished_at"),
        sa.column("updated_at"),
        sa.column("replaced_version"),
        sa.column("payload", sa.JSON()),
    )
    op.execute(
        jobs.update().values(
            collection=jobs.c.payload["collection"].as_string(), started_at=jobs.c.created_at
        )
    )
    is_open = jobs.c.state == "running"
    op.execute(
        jobs.update()
        .where(is_open)
        .values(
            blob_sha256=jobs.c.payload["blob"].as_string(),
            replaced_version=jobs.c.payload["replaced_version"].as_integer(),
            lease_owner="",
        )
    )
    op.execute(jobs.update().where(sa.not_(is_open)).values(finished_at=jobs.c.updated_at))
    op.drop_index("ix_jobs_state", "jobs")
    for name, columns in INDEXES:
        op.create_index(name, "jobs", columns)


def downgrade() -> None:
    """Drop the columns; jobs that wait are lost."""
    for name, _ in INDEXES:
        op.drop_index(name, "jobs")
    op.create_index("ix_jobs_state", "jobs", ["state", "created_at"])
    jobs = sa.table("jobs", sa.column("state"))
    op.execute(jobs.delete().where(jobs.c.state == "queued"))
    for column in new_columns():
        op.drop_column("jobs", column.name)
