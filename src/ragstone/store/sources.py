"""Sources as rows: who syncs one now, what it held, how its runs went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import ColumnElement, RowMapping, and_, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.store.database import now
from ragstone.store.tables import documents, source_items, source_runs, sources
from ragstone.types import DocumentId, Metadata, TenantId

LEASE_S = 60.0
"""A run whose process has been silent for so long is over; another may begin."""
KEPT_RUNS = 50
NAMED_AT_ONCE = 500
"""Values in one statement; SQLite takes 32,766 at most."""

RunState = Literal["running", "done", "guarded", "failed"]
"""`guarded`: done but for the vanished documents, which were too many to remove unasked."""


@dataclass(frozen=True, slots=True)
class SourceRun:
    """One sync of one source."""

    id: str
    source_name: str
    state: RunState
    counts: Mapping[str, int] = field(default_factory=dict)
    failures: Sequence[Mapping[str, str]] = ()
    """Up to 20 items that could not be taken in: uri, code, message."""
    note: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    started_at: str = ""
    finished_at: str | None = None


@dataclass(frozen=True, slots=True)
class KnownItem:
    """What is stored of one item of a source."""

    uri: str
    collection: str
    fingerprint: str
    """Empty while its document is not known to be in."""
    content_sha256: str = ""
    entry_digest: str = ""
    """Of what the catalogue says about all documents of the source (metadata)."""
    document_id: DocumentId | None = None
    memo: Metadata = field(default_factory=dict)
    error: tuple[str, str] | None = None
    """Code and message of the refusal, for as long as the item stays as it is."""
    is_stored: bool = False
    """Whether its document is there (it may have been removed by hand)."""


@dataclass(frozen=True, slots=True)
class SourceState:
    """What is stored of a source besides its items."""

    name: str
    is_running: bool
    next_run_at: str | None
    document_count: int = 0
    failed_count: int = 0


async def take_source(connection: AsyncConnection, tenant_id: TenantId, name: str, run_id: str) -> bool:
    """Begin a run, unless another one holds the source; runs that were cut off are ended as failed."""
    where = and_(sources.c.tenant_id == tenant_id, sources.c.name == name)
    known = (await connection.execute(select(sources.c.name).where(where))).first()
    if known is None:
        await connection.execute(insert(sources).values(tenant_id=tenant_id, name=name))
    is_free = or_(sources.c.lease_until.is_(None), sources.c.lease_until < now())
    taken = await connection.execute(
        update(sources).where(where, is_free).values(run_id=run_id, lease_until=now(LEASE_S))
    )
    if taken.rowcount == 0:
        return False
    cut_off = {
        "state": "failed",
        "error_code": "internal",
        "error_message": "The process ended before the sync did; the next sync takes up its work.",
        "finished_at": now(),
    }
    await connection.execute(
        update(source_runs).where(_runs_of(tenant_id, name), source_runs.c.state == "running").values(cut_off)
    )
    await connection.execute(
        insert(source_runs).values(
            id=run_id,
            tenant_id=tenant_id,
            source_name=name,
            state="running",
            counts={},
            failures=[],
            started_at=now(),
        )
    )
    return True


async def renew_source(connection: AsyncConnection, run_id: str) -> bool:
    """Hold the source a while longer; False when another run has it by now."""
    held = update(sources).where(sources.c.run_id == run_id).values(lease_until=now(LEASE_S))
    return (await connection.execute(held)).rowcount > 0


async def finish_run(
    connection: AsyncConnection, tenant_id: TenantId, run: SourceRun, next_run_at: str | None
) -> None:
    """Store how a run went, free its source, and forget runs beyond the newest `KEPT_RUNS`."""
    values = {
        "state": run.state,
        "counts": dict(run.counts),
        "failures": [dict(failure) for failure in run.failures],
        "note": run.note,
        "error_code": run.error_code,
        "error_message": run.error_message,
        "finished_at": now(),
    }
    await connection.execute(update(source_runs).where(source_runs.c.id == run.id).values(values))
    await connection.execute(
        update(sources)
        .where(sources.c.run_id == run.id)
        .values(run_id=None, lease_until=None, next_run_at=next_run_at)
    )
    mine = _runs_of(tenant_id, run.source_name)
    kept = select(source_runs.c.id).where(mine).order_by(source_runs.c.started_at.desc()).limit(KEPT_RUNS)
    await connection.execute(delete(source_runs).where(mine, source_runs.c.id.not_in(kept)))


async def source_runs_of(
    connection: AsyncConnection, tenant_id: TenantId, name: str, limit: int
) -> list[SourceRun]:
    """The newest runs of a source, newest first."""
    statement = (
        select(source_runs)
        .where(_runs_of(tenant_id, name))
        .order_by(source_runs.c.started_at.desc())
        .limit(limit)
    )
    return [_run(row) for row in (await connection.execute(statement)).mappings()]


async def source_states(connection: AsyncConnection, tenant_id: TenantId) -> dict[str, SourceState]:
    """Every source that was ever synced, with its counts, by name."""
    counted = (
        select(
            source_items.c.source_name,
            func.count(source_items.c.document_id).label("document_count"),
            func.count(source_items.c.error_code).label("failed_count"),
        )
        .where(source_items.c.tenant_id == tenant_id)
        .group_by(source_items.c.source_name)
        .subquery()
    )
    statement = (
        select(sources, counted.c.document_count, counted.c.failed_count)
        .outerjoin(counted, counted.c.source_name == sources.c.name)
        .where(sources.c.tenant_id == tenant_id)
    )
    present = now()
    return {
        row["name"]: SourceState(
            row["name"],
            row["lease_until"] is not None and row["lease_until"] >= present,
            row["next_run_at"],
            row["document_count"] or 0,
            row["failed_count"] or 0,
        )
        for row in (await connection.execute(statement)).mappings()
    }


async def known_items(connection: AsyncConnection, tenant_id: TenantId, name: str) -> list[KnownItem]:
    """Every item of a source as it was at its last sync."""
    statement = (
        select(source_items, documents.c.key.label("key"))
        .outerjoin(documents, documents.c.id == source_items.c.document_id)
        .where(source_items.c.tenant_id == tenant_id, source_items.c.source_name == name)
    )
    return [_item(row) for row in (await connection.execute(statement)).mappings()]


async def put_items(
    connection: AsyncConnection, tenant_id: TenantId, name: str, items: Sequence[KnownItem]
) -> None:
    """Store items, over what was there under their uris."""
    await delete_items(connection, tenant_id, name, [item.uri for item in items])
    if items:
        rows = [_item_row(tenant_id, name, item) for item in items]
        await connection.execute(insert(source_items), rows)


async def delete_items(
    connection: AsyncConnection, tenant_id: TenantId, name: str, uris: Iterable[str]
) -> None:
    """Forget items; their documents are not touched."""
    mine = and_(source_items.c.tenant_id == tenant_id, source_items.c.source_name == name)
    waiting = list(uris)
    for start in range(0, len(waiting), NAMED_AT_ONCE):
        part = waiting[start : start + NAMED_AT_ONCE]
        await connection.execute(delete(source_items).where(mine, source_items.c.uri.in_(part)))


async def is_shared(connection: AsyncConnection, name: str, document_id: DocumentId) -> bool:
    """Whether another source has this document, too."""
    statement = select(source_items.c.uri).where(
        source_items.c.document_id == document_id, source_items.c.source_name != name
    )
    return (await connection.execute(statement.limit(1))).first() is not None


def _runs_of(tenant_id: TenantId, name: str) -> ColumnElement[bool]:
    return and_(source_runs.c.tenant_id == tenant_id, source_runs.c.source_name == name)


def _run(row: RowMapping) -> SourceRun:
    return SourceRun(
        id=row["id"],
        source_name=row["source_name"],
        state=row["state"],
        counts=row["counts"],
        failures=row["failures"],
        note=row["note"],
        error_code=row["error_code"],
        error_message=row["error_message"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )


def _item(row: RowMapping) -> KnownItem:
    error = None if row["error_code"] is None else (row["error_code"], row["error_message"] or "")
    return KnownItem(
        uri=row["uri"],
        collection=row["collection"],
        fingerprint=row["fingerprint"],
        content_sha256=row["content_sha256"],
        entry_digest=row["entry_digest"],
        document_id=row["document_id"],
        memo=row["memo"],
        error=error,
        is_stored=row["key"] is not None,
    )


def _item_row(tenant_id: TenantId, name: str, item: KnownItem) -> dict[str, object]:
    code, message = item.error or (None, None)
    return {
        "tenant_id": tenant_id,
        "source_name": name,
        "uri": item.uri,
        "collection": item.collection,
        "fingerprint": item.fingerprint,
        "content_sha256": item.content_sha256,
        "entry_digest": item.entry_digest,
        "document_id": item.document_id,
        "memo": dict(item.memo),
        "error_code": code,
        "error_message": message,
        "updated_at": now(),
    }
