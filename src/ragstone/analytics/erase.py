"""Erasing questions: out of reach in every process when it returns, and overwritten in the file."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragstone.analytics.asked import present_ms
from ragstone.analytics.tracker import QueryTracker, empty_closed, forget
from ragstone.analytics.words import digest_of
from ragstone.cancellation import run_to_end
from ragstone.store.answer_traces import erase_traces
from ragstone.store.queries import (
    WHOLE_TENANT,
    close_scopes,
    note_erasure,
    questions_like,
)

if TYPE_CHECKING:
    from ragstone.analytics.answer_traces import AnswerTraces
    from ragstone.analytics.query_log import QueryLog
    from ragstone.store.database import Database
    from ragstone.store.query_log import Subject
    from ragstone.types import TenantId

LOG_ATTEMPTS = 20
LOG_PAUSE_S = 0.1


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure took away.

    `is_log_empty` is False when readers held the write-ahead log open all the time: what it holds of the
    questions goes with the next checkpoint.
    """

    count: int
    is_log_empty: bool
    logged: int = 0
    """Rows of requests that went from the log."""


async def erase_all(
    database: Database, tracker: QueryTracker, traces: AnswerTraces, tenant_id: TenantId
) -> Erased:
    """Forget every question of a tenant. One short transaction hides them; their rows go in slices after."""
    tracker.forget(lambda principal, _: principal.tenant_id == tenant_id)
    traces.forget(tenant_id, None)
    async with database.write() as connection:
        present = present_ms()
        await note_erasure(connection, tenant_id, WHOLE_TENANT, present)
        count = await close_scopes(connection, tenant_id, present)
        await erase_traces(connection, tenant_id, None)
    await run_to_end(empty_closed(database))
    return Erased(count, await _empty_log(database))


async def erase_one(
    database: Database, tracker: QueryTracker, traces: AnswerTraces, tenant_id: TenantId, question: str
) -> Erased:
    """Forget one question of a tenant, in its normal form, whoever asked it."""
    return await erase_digest(database, tracker, traces, tenant_id, digest_of(question))


async def erase_digest(
    database: Database, tracker: QueryTracker, traces: AnswerTraces, tenant_id: TenantId, digest: bytes
) -> Erased:
    """The same by what stands for the question."""
    tracker.forget(lambda principal, waiting: principal.tenant_id == tenant_id and waiting == digest)
    traces.forget(tenant_id, digest)
    async with database.write() as connection:
        await note_erasure(connection, tenant_id, digest, present_ms())
        await erase_traces(connection, tenant_id, [digest])
        rows = await questions_like(connection, tenant_id, digest)
        count = sum([await forget(connection, scope_id, [row]) for scope_id, row in rows.items()])
    return Erased(count, await _empty_log(database))


async def erase_logged(query_log: QueryLog, tenant_id: TenantId, subject: Subject) -> Erased:
    """Remove a subject's requests from the log."""
    logged = await query_log.erase(tenant_id, subject)
    return Erased(0, await _emptied(query_log.file.empty_log), logged)


async def erase_asker(
    database: Database,
    tracker: QueryTracker,
    traces: AnswerTraces,
    query_log: QueryLog,
    tenant_id: TenantId,
    subject: Subject,
) -> Erased:
    """Forget what one client or user asked: its requests, and its questions that nobody else asked."""
    count, is_empty = 0, True
    for digest in await query_log.asked_only_by(tenant_id, subject):
        erased = await erase_digest(database, tracker, traces, tenant_id, bytes.fromhex(digest))
        count, is_empty = count + erased.count, is_empty and erased.is_log_empty
    gone = await erase_logged(query_log, tenant_id, subject)
    return Erased(count, is_empty and gone.is_log_empty, gone.logged)


async def _empty_log(database: Database) -> bool:
    return await _emptied(database.empty_log)


async def _emptied(empty: Callable[[], Awaitable[bool]]) -> bool:
    for _ in range(LOG_ATTEMPTS):
        if await empty():
            return True
        await asyncio.sleep(LOG_PAUSE_S)
    return False
