"""Prefetching: after a question, what its askers are likely to ask next is answered ahead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from ragstone.analytics.words import digest_of
from ragstone.errors import RagstoneError
from ragstone.store.follow_ups import likely_follow_ups

if TYPE_CHECKING:
    from ragstone.analytics.follow_ups import AskedLately, JustAsked
    from ragstone.operate.ask_again import WarmingParts

log = structlog.get_logger(__name__)

LONGEST_WAIT_S = 30.0
"""A question asked longer ago had its follow-up, or never will."""


@dataclass(frozen=True, slots=True)
class PrefetchStatus:
    """What was answered ahead since this process began, and how much of that was asked for."""

    is_on: bool
    warmed: int = 0
    used: int = 0
    failed: int = 0
    skipped: int = 0
    late: int = 0
    """Questions whose follow-ups were not looked up, as the process never rested."""


class Prefetcher:
    """Answers likely follow-ups one at a time, under the same limits as a warming."""

    def __init__(self, parts: WarmingParts, lately: AskedLately, follow_ups: int) -> None:
        """Answer up to `follow_ups` of each question."""
        self._parts = parts
        self._lately = lately
        self._follow_ups = follow_ups
        self._counts = {"warmed": 0, "failed": 0, "skipped": 0, "late": 0}
        self._used_told = 0

    def status(self) -> PrefetchStatus:
        """What it has done."""
        return PrefetchStatus(self._follow_ups > 0, used=self._lately.used_count, **self._counts)

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            one = await self._lately.newest()
            self._tell_used()
            await self._parts.wait_for_rest()
            if self._lately.is_old(one, LONGEST_WAIT_S):
                self._count("late")
                continue
            try:
                await self._prefetch(one)
            except RagstoneError as error:  # a loop: the next question may do better
                log.warning("follow_ups_not_read", code=error.code)
                self._parts.note_failure(error, "prefetch", service="warming")
            except Exception as error:
                log.exception("prefetch_failed")
                self._parts.note_failure(error, "prefetch", service="warming")

    async def _prefetch(self, one: JustAsked) -> None:
        async with self._parts.database.read() as connection:
            likely = await likely_follow_ups(connection, one.principal, one.digest, self._follow_ups)
        for question in likely:
            await self._parts.wait_for_rest()
            outcome = await self._parts.ask(question, one.principal)
            self._count(outcome)
            if outcome == "warmed":
                self._lately.answered_ahead(one.principal, digest_of(question.question))

    def _count(self, outcome: str) -> None:
        self._counts[outcome] += 1
        self._parts.metrics.prefetched_requests.labels(outcome).inc()

    def _tell_used(self) -> None:
        self._parts.metrics.prefetched_requests.labels("used").inc(self._lately.used_count - self._used_told)
        self._used_told = self._lately.used_count
