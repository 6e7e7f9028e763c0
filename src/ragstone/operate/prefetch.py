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
    """What was asked ahead since this process began."""

    is_on: bool
    warmed: int = 0
    """Made ahead; `used` of them were found in a cache when they were asked."""
    used: int = 0
    known: int = 0
    """Lay in a cache already."""
    failed: int = 0
    skipped: int = 0
    """Could not be asked again as they were kept."""
    late: int = 0
    """Questions whose follow-ups were not asked, as the process did not rest in time."""


class Prefetcher:
    """Answers likely follow-ups one at a time, under the same limits as a warming."""

    def __init__(self, parts: WarmingParts, lately: AskedLately, follow_ups: int) -> None:
        """Answer up to `follow_ups` of each question."""
        self._parts = parts
        self._lately = lately
        self._follow_ups = follow_ups
        self._counts = dict.fromkeys(("warmed", "known", "failed", "skipped", "late"), 0)
        self._used_told = self._left_out_told = 0

    def status(self) -> PrefetchStatus:
        """What it has done."""
        counts = {**self._counts, "late": self._counts["late"] + self._lately.left_out_count}
        return PrefetchStatus(self._follow_ups > 0, used=self._lately.used_count, **counts)

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            one = await self._lately.newest()
            self._tell()
            try:
                await self._prefetch(one)
            except RagstoneError as error:  # a loop: the next question may do better
                log.warning("follow_ups_not_read", code=error.code)
                self._parts.note_failure(error, "prefetch", service="warming")
            except Exception as error:
                log.exception("prefetch_failed")
                self._parts.note_failure(error, "prefetch", service="warming")

    async def _prefetch(self, one: JustAsked) -> None:
        await self._parts.wait_for_rest()
        async with self._parts.database.read() as connection:
            likely = await likely_follow_ups(connection, one.principal, one.digest, self._follow_ups)
        for question in likely:
            await self._parts.wait_for_rest()
            if self._lately.is_old(one, LONGEST_WAIT_S):
                self._count("late")
                return
            # A collection that has gone would be an error each time its question is asked.
            outcome = await self._parts.ask(question, one.principal, is_noted=False)
            self._count(outcome)
            if outcome == "warmed":
                self._lately.answered_ahead(one.principal, digest_of(question.question))

    def _count(self, outcome: str) -> None:
        self._counts[outcome] += 1
        self._parts.metrics.prefetched_requests.labels(outcome).inc()

    def _tell(self) -> None:
        """Tell the metrics what was counted elsewhere."""
        counter, lately = self._parts.metrics.prefetched_requests, self._lately
        counter.labels("used").inc(lately.used_count - self._used_told)
        counter.labels("late").inc(lately.left_out_count - self._left_out_told)
        self._used_told, self._left_out_told = lately.used_count, lately.left_out_count
