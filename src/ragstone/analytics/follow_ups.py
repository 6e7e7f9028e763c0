"""What is asked after what: who asked last, and questions whose likely follow-ups may be answered ahead."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragstone.analytics.words import digest_of
from ragstone.telemetry.caller import Caller
from ragstone.types import Principal

if TYPE_CHECKING:
    from ragstone.analytics.asked import Asked

GAP_MS = 600_000
"""A question later than that after an asker's last one follows from nothing."""
ASKERS = 10_000
"""Askers of whom the last question is known; the one who has not asked for longest is forgotten first."""
LATEST = 64
"""Questions that wait for their follow-ups to be looked up; the oldest is left out first."""
AHEAD = 1_000
"""Questions answered ahead of which it is noticed that they were asked."""


class LastAsked:
    """Everybody's last question, by digest; no words are kept."""

    def __init__(self) -> None:
        self._last: OrderedDict[tuple[Principal, str, str, str], tuple[bytes, int]] = OrderedDict()

    def follow(self, principal: Principal, caller: Caller, digest: bytes, at_ms: int) -> bytes | None:
        """Note a question; the one that the same asker asked before it, another one, a short while ago."""
        asker = (principal, caller.door, caller.client, caller.user)
        before, before_ms = self._last.pop(asker, (digest, at_ms))
        self._last[asker] = (digest, at_ms)
        if len(self._last) > ASKERS:
            self._last.popitem(last=False)
        return before if before != digest and at_ms - before_ms <= GAP_MS else None


@dataclass(frozen=True, slots=True)
class JustAsked:
    """A question that was answered a moment ago; `at_s` is of a monotonic clock."""

    principal: Principal
    digest: bytes
    at_s: float


class AskedLately:
    """A sink of the recorder: the latest answered questions, and how many of them were answered ahead.

    Belongs to one event loop.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._latest: deque[JustAsked] = deque(maxlen=LATEST)
        self._came = asyncio.Event()
        self._ahead: OrderedDict[tuple[Principal, bytes], None] = OrderedDict()
        self.used_count = 0
        """Questions that were answered ahead, asked, and found in a cache."""

    def __call__(self, asked: Asked) -> None:
        """Take a question that was answered."""
        if asked.error_code is not None:
            return
        search = asked.asking.search
        digest = digest_of(search.query)
        if (search.principal, digest) in self._ahead and asked.cache not in ("miss", "off"):
            del self._ahead[search.principal, digest]
            self.used_count += 1
        self._latest.append(JustAsked(search.principal, digest, self._clock()))
        self._came.set()

    def answered_ahead(self, principal: Principal, digest: bytes) -> None:
        """Notice when this question is asked."""
        self._ahead[principal, digest] = None
        self._ahead.move_to_end((principal, digest))
        if len(self._ahead) > AHEAD:
            self._ahead.popitem(last=False)

    def is_old(self, one: JustAsked, longest_s: float) -> bool:
        """Whether it was asked longer ago."""
        return self._clock() - one.at_s > longest_s

    async def newest(self) -> JustAsked:
        """The question that was asked last of those that wait; waits for one."""
        while not self._latest:
            self._came.clear()
            await self._came.wait()
        return self._latest.pop()
