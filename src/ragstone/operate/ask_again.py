"""Asking tracked questions again for the caches' sake: only while this process has nothing else to do."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import structlog

from ragstone.analytics.asking import Asking, read_asking
from ragstone.errors import RagstoneError

if TYPE_CHECKING:
    from ragstone.analytics.error_log import FailureSink
    from ragstone.operate.load import Load
    from ragstone.store.database import Database
    from ragstone.store.query_reads import TrackedQuery
    from ragstone.telemetry.metrics import Metrics
    from ragstone.types import CacheUse, Principal

log = structlog.get_logger(__name__)

LOOK_S = 0.05
"""How often it is looked whether the process is at rest."""

Outcome = Literal["warmed", "known", "failed", "skipped"]
"""What became of a question: made, found in a cache, not answered, or kept in a form that cannot be asked."""


class AskAgain(Protocol):
    """Asks a question through the services, without counting it."""

    async def __call__(self, asking: Asking) -> CacheUse:
        """Search or answer; where the result came from.

        Raises:
            RagstoneError: it cannot be answered any more.
        """
        ...


class Worker(Protocol):
    """What works on jobs."""

    @property
    def is_idle(self) -> bool:
        """Whether no job is in its hands."""
        ...


@dataclass(frozen=True, slots=True)
class WarmingParts:
    """What warming and prefetching lean on."""

    database: Database
    ask_again: AskAgain
    load: Load
    worker: Worker
    metrics: Metrics
    note_failure: FailureSink
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One question at a time, whoever asks again."""

    @property
    def is_busy(self) -> bool:
        """Whether the process has something better to do."""
        return self.load.in_flight > 0 or not self.worker.is_idle

    async def wait_for_rest(self) -> float:
        """Until the process has nothing better to do; seconds that it took."""
        began_s = time.perf_counter()
        while self.is_busy:  # noqa: ASYNC110 - jobs and requests end in many places
            await asyncio.sleep(LOOK_S)
        return time.perf_counter() - began_s

    async def ask(self, question: TrackedQuery, principal: Principal, *, is_noted: bool = True) -> Outcome:
        """Ask as `principal`, and rest for as long as that took; a failure is an error row if noted."""
        async with self.turn:
            began_s = time.perf_counter()
            outcome = await self._ask(question, principal, is_noted=is_noted)
            await asyncio.sleep(time.perf_counter() - began_s)
        return outcome

    async def _ask(self, question: TrackedQuery, principal: Principal, *, is_noted: bool) -> Outcome:
        if question.request is None:
            return "skipped"
        try:
            asking = read_asking(question.request, question.question, principal)
        except ValueError:
            return "skipped"
        try:
            cache = await self.ask_again(asking)
        except RagstoneError as error:  # its collection has gone, for example
            log.debug("question_not_warmed", code=error.code)
            if is_noted:
                self.note_failure(error, asking.kind, service="warming", tenant_id=principal.tenant_id)
            return "failed"
        return "warmed" if cache in ("miss", "off") else "known"
