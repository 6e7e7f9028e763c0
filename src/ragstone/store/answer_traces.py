"""The traces of answers as rows: what was noted of each, without a word of the documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Column, Index, LargeBinary, String, Table, Text, delete, or_, select
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.store.tables import Key, metadata
from ragstone.types import TenantId

answer_traces = Table(
    "answer_traces",
    metadata,
    Column("answer_id", String(36), primary_key=True),
    Column("tenant_id", String(64), nullable=False),
    Column("audience", Text, nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("digest", LargeBinary(16), nullable=False),
    Column("at_ms", Key, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("ix_answer_traces_at_ms", "at_ms"),
    Index("ix_answer_traces_request_id", "request_id"),
    Index("ix_answer_traces_tenant_id_digest", "tenant_id", "digest"),
    sqlite_with_rowid=False,
)
"""`audience` is that of `query_scopes`; `digest` stands for the question, by which it is erased.
`analytics.trace_record` makes and reads `body`."""


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One answer's trace as it is kept."""

    answer_id: str
    tenant_id: TenantId
    audience: str
    request_id: str
    digest: bytes
    at_ms: int
    body: bytes


async def put_traces(connection: AsyncConnection, rows: Sequence[TraceRow]) -> None:
    """Store traces; one that is there already stays."""
    values = [
        {
            "answer_id": row.answer_id,
            "tenant_id": row.tenant_id,
            "audience": row.audience,
            "request_id": row.request_id,
            "digest": row.digest,
            "at_ms": row.at_ms,
            "body": row.body,
        }
        for row in rows
    ]
    if values:
        await connection.execute(upsert(answer_traces).on_conflict_do_nothing(), values)


async def find_trace(connection: AsyncConnection, tenant_id: TenantId, name: str) -> TraceRow | None:
    """The trace of an answer, by its id or by the id of its request; the newest of several."""
    mine = answer_traces.c.tenant_id == tenant_id
    named = or_(answer_traces.c.answer_id == name, answer_traces.c.request_id == name)
    newest = select(answer_traces).where(mine, named).order_by(answer_traces.c.at_ms.desc()).limit(1)
    row = (await connection.execute(newest)).first()
    if row is None:
        return None
    return TraceRow(
        row.answer_id,
        TenantId(row.tenant_id),
        row.audience,
        row.request_id,
        row.digest,
        row.at_ms,
        row.body,
    )


async def prune_traces(connection: AsyncConnection, before_ms: int, kept: int) -> int:
    """Forget traces from before a time, and all but the `kept` newest; how many went."""
    old = await connection.execute(delete(answer_traces).where(answer_traces.c.at_ms < before_ms))
    first_beyond = select(answer_traces.c.at_ms).order_by(answer_traces.c.at_ms.desc()).offset(kept).limit(1)
    beyond = delete(answer_traces).where(answer_traces.c.at_ms <= first_beyond.scalar_subquery())
    return int(old.rowcount) + int((await connection.execute(beyond)).rowcount)


async def erase_traces(
    connection: AsyncConnection, tenant_id: TenantId, digests: Iterable[bytes] | None
) -> int:
    """Forget the traces of some questions of a tenant, or of all; how many went."""
    mine = answer_traces.c.tenant_id == tenant_id
    chosen = mine if digests is None else mine & answer_traces.c.digest.in_(list(digests))
    return int((await connection.execute(delete(answer_traces).where(chosen))).rowcount)
