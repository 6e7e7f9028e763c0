"""Writing the log: batches of rows, what an erasure forbids, what is too old."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from operator import attrgetter
from typing import Literal, NewType

import msgspec
from sqlalchemy import JSON, ColumnElement, Connection, Table, delete, select
from sqlalchemy.dialects.sqlite import insert

from ragstone.store.log_tables import (
    TABLES,
    document_accesses,
    error_logs,
    first_number,
    log_erasures,
    query_logs,
    system_metrics,
)
from ragstone.types import JsonValue, TenantId

RowId = NewType("RowId", int)
"""Time and a number below it; see `log_tables`."""
ROWS_AT_ONCE = 1_000
"""Rows of one table that one transaction of an erasure or of retention removes."""

SubjectKind = Literal["all", "question", "client", "user"]


@dataclass(frozen=True, slots=True)
class QueryRow:
    """A request, column by column."""

    id: RowId
    at_ms: int
    tenant_id: TenantId
    audience: str
    question: str | None
    question_hash: str
    kind: str = "search"
    request_id: str = ""
    answer_id: str | None = None
    hits_of: RowId | None = None
    door: str = "python"
    client: str = ""
    user_id: str | None = None
    collections: tuple[str, ...] = ()
    retrieval_ms: float | None = None
    generation_ms: float | None = None
    total_ms: float | None = None
    source_count: int | None = None
    citation_count: int | None = None
    relevance_scores: tuple[float, ...] | None = None
    mean_relevance: float | None = None
    best_relevance: float | None = None
    answer_mode: str | None = None
    model: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None
    mode: str = "hybrid"
    is_hybrid: bool = True
    is_reranked: bool = False
    expansion_count: int = 0
    cache: str = "off"
    degraded: tuple[str, ...] = ()
    is_degraded: bool = False
    is_success: bool = True
    error_code: str | None = None
    corpus_version: int = 0
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AccessRow:
    """A hit of a request."""

    query_id: RowId
    rank: int
    at_ms: int
    tenant_id: TenantId
    document_id: str
    chunk_id: str
    score: float
    is_cited: bool
    is_first: bool
    """Of this document in its request: what counts requests by documents."""


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """An error, without the words of who met it."""

    id: RowId
    at_ms: int
    tenant_id: TenantId
    type: str
    code: str
    message: str
    stack: str | None
    service: str
    operation: str
    client: str
    request_id: str
    severity: Literal["warning", "error", "critical"]
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SystemRow:
    """How a process was doing since its last row."""

    id: RowId
    at_ms: int
    process: str
    tenant_id: TenantId
    cpu_percent: float | None
    memory_bytes: int | None
    gpu_percent: float | None
    gpu_memory_bytes: int | None
    connections: int | None
    cache_hit_rate: float | None
    documents: int | None
    chunks: int | None
    mean_query_ms: float | None
    mean_retrieval_ms: float | None
    mean_generation_ms: float | None
    queries_per_minute: float


@dataclass(frozen=True, slots=True)
class LogBatch:
    """Rows of one write."""

    queries: Sequence[QueryRow] = ()
    accesses: Sequence[AccessRow] = ()
    errors: Sequence[ErrorRow] = ()
    system: Sequence[SystemRow] = ()


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose rows, or which; `name` is the question's hash, the client, the user, or empty for all."""

    kind: SubjectKind
    name: str = ""


def store_batch(connection: Connection, batch: LogBatch) -> int:
    """Add the rows, but those that were erased meanwhile; how many requests came new."""
    erased = _erasures(connection)
    kept = [row for row in batch.queries if not (erased and _is_erased(row, erased))]
    ids = {row.id for row in kept}
    accesses = [row for row in batch.accesses if row.query_id in ids] if erased else batch.accesses
    errors = [row for row in batch.errors if not (erased and _is_error_erased(row, erased))]
    added = add_queries(connection, kept)
    for table, rows in (
        (document_accesses, accesses),
        (error_logs, errors),
        (system_metrics, batch.system),
    ):
        _insert(connection, table, rows)
    return added


def add_queries(connection: Connection, rows: Sequence[QueryRow]) -> int:
    """Add requests, whatever was erased before; how many were new."""
    return _insert(connection, query_logs, rows)


def _insert(connection: Connection, table: Table, rows: Sequence[object]) -> int:
    """How many were new: a row that is there already stays, as an import may be repeated."""
    if not rows:
        return 0
    statement, values_of, json_at = _inserting(table)
    values = [list(values_of(row)) for row in rows]
    for one in values:
        for at in json_at:
            if one[at] is not None:
                one[at] = msgspec.json.encode(one[at]).decode()
    # Through SQLAlchemy's own types a row takes three times as long.
    found = connection.exec_driver_sql(statement, [tuple(one) for one in values])
    return found.rowcount


@cache
def _inserting(table: Table) -> tuple[str, Callable[[object], tuple[object, ...]], Sequence[int]]:
    """The statement for a table, what takes a row's values in its order, and which of them are JSON."""
    names = [column.name for column in table.columns]
    places = ", ".join("?" * len(names))
    statement = f"INSERT OR IGNORE INTO {table.name} ({', '.join(names)}) VALUES ({places})"  # noqa: S608
    json_at = [at for at, column in enumerate(table.columns) if isinstance(column.type, JSON)]
    return statement, attrgetter(*names), json_at


Erasures = Mapping[tuple[str, str, str], int]


def _erasures(connection: Connection) -> Erasures:
    found = connection.execute(select(log_erasures))
    return {(row.tenant_id, row.kind, row.subject): row.erased_ms for row in found}


def _is_erased(row: QueryRow, erased: Erasures) -> bool:
    named = (
        ("all", ""),
        ("question", row.question_hash),
        ("client", row.client),
        ("user", row.user_id or ""),
    )
    return any(row.at_ms <= erased.get((row.tenant_id, *one), -1) for one in named)


def _is_error_erased(row: ErrorRow, erased: Erasures) -> bool:
    named = (("all", ""), ("client", row.client))
    return any(row.at_ms <= erased.get((row.tenant_id, *one), -1) for one in named)


def note_erasure(connection: Connection, tenant_id: TenantId, subject: Subject, at_ms: int) -> None:
    """Tell every process that rows of this subject from before are not to be stored."""
    values = {"tenant_id": tenant_id, "kind": subject.kind, "subject": subject.name, "erased_ms": at_ms}
    noted = insert(log_erasures).values(values)
    newer = {"erased_ms": noted.excluded.erased_ms}
    keys = ["tenant_id", "kind", "subject"]
    connection.execute(noted.on_conflict_do_update(index_elements=keys, set_=newer))


def drop_erasures(connection: Connection, before_ms: int) -> None:
    """Forget erasures that no waiting row can be older than."""
    connection.execute(delete(log_erasures).where(log_erasures.c.erased_ms < before_ms))


def erase_slice(connection: Connection, tenant_id: TenantId, subject: Subject, until_ms: int) -> int:
    """Remove some of a subject's requests with their accesses; how many, 0 at the end."""
    chosen = (
        select(query_logs.c.id)
        .where(query_logs.c.tenant_id == tenant_id, query_logs.c.at_ms <= until_ms, *_of_query(subject))
        .limit(ROWS_AT_ONCE)
    )
    ids = list(connection.execute(chosen).scalars())
    if ids:
        # Also those that others were answered with again: who reads a document is told by nothing else.
        connection.execute(delete(document_accesses).where(document_accesses.c.query_id.in_(ids)))
        connection.execute(delete(query_logs).where(query_logs.c.id.in_(ids)))
    return len(ids)


def erase_errors_slice(connection: Connection, tenant_id: TenantId, subject: Subject, until_ms: int) -> int:
    """Remove some of the errors that the subject met; how many, 0 at the end."""
    if subject.kind not in ("all", "client"):
        return 0
    chosen = select(error_logs.c.id).where(
        error_logs.c.tenant_id == tenant_id, error_logs.c.at_ms <= until_ms
    )
    if subject.kind == "client":
        chosen = chosen.where(error_logs.c.client == subject.name)
    gone = delete(error_logs).where(error_logs.c.id.in_(chosen.limit(ROWS_AT_ONCE)))
    return connection.execute(gone).rowcount


def hashes_only_of(connection: Connection, tenant_id: TenantId, subject: Subject) -> list[str]:
    """The questions that nobody but the subject asked, by their hashes."""
    mine = select(query_logs.c.question_hash).where(query_logs.c.tenant_id == tenant_id, *_of_query(subject))
    same = query_logs.alias().c
    others = select(same.id).where(
        same.tenant_id == tenant_id,
        same.question_hash == query_logs.c.question_hash,
        same[_COLUMNS[subject.kind]].is_distinct_from(subject.name),
    )
    return list(connection.execute(mine.where(~others.exists()).distinct()).scalars())


def remove_older(connection: Connection, table_name: str, before_ms: int) -> int:
    """Remove some of a table's rows from before; how many, 0 when none is left."""
    table = TABLES[table_name]
    key = table.c.query_id if table is document_accesses else table.c.id
    chosen = select(key).where(key < first_number(before_ms)).order_by(key).limit(ROWS_AT_ONCE)
    return connection.execute(delete(table).where(key.in_(chosen))).rowcount


def _of_query(subject: Subject) -> list[ColumnElement[bool]]:
    column = _COLUMNS.get(subject.kind)
    return [] if column is None else [query_logs.c[column] == subject.name]


_COLUMNS: Mapping[str, str] = {"question": "question_hash", "client": "client", "user": "user_id"}
