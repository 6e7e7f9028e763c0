"""What is asked after what: who asked last, and questions whose likely follow-ups may be answered ahead."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragstone.analytics.words import digest_of
from ragstone.store.follow_ups import Pair
from ragstone.telemetry.caller import Caller
from ragstone.types import Principal

if TYPE_CHECKING:
    from ragstone.analytics.asked import Asked
    from ragstone.settings import CacheSettings

GAP_MS = 600_000
"""A question later than that after an asker's last one follows from nothing."""
ASKERS = 10_000
"""Askers of whom the last question is known; the one who has not asked for longest is forgotten first."""
WAITING = 10_000
"""Different pairs that may wait to be stored; what comes then is not counted."""
LATEST = 64
"""Questions that wait for their follow-ups to be looked up; the oldest is left out first."""
AHEAD = 1_000
"""Questions answered ahead of which it is noticed that they were asked."""


def followed_of(settings: CacheSettings) -> int:
    """How many follow-ups are answered ahead: none where nothing is cached or counted."""
    return settings.prefetch_follow_ups if settings.enabled and settings.tracked_queries else 0


@dataclass(frozen=True, slots=True)
class Followed:
    """How often one question came after another since that was stored last, and the oldest asking of both."""

    count: int
    first_ms: int


PairOf = tuple[Principal, Pair]


class FollowUps:
    """Everybody's last question, and the pairs that are not stored yet; digests only, no words, no names."""

    def __init__(self) -> None:
        self._last: OrderedDict[tuple[Principal, bytes], tuple[bytes, int]] = OrderedDict()
        self._pairs: dict[PairOf, Followed] = {}

    def note(self, principal: Principal, caller: Caller, digest: bytes, at_ms: int) -> None:
        """A question: it follows another one that the same asker asked before it, a short while ago."""
        asker = (principal, digest_of(f"{caller.door}\n{caller.client}\n{caller.user}"))
        before, before_ms = self._last.pop(asker, (digest, at_ms))
        self._last[asker] = (digest, at_ms)
        if len(self._last) > ASKERS:
            self._last.popitem(last=False)
        if before != digest and at_ms - before_ms <= GAP_MS:
            self._add((principal, (before, digest)), Followed(1, before_ms))

    def take(self) -> dict[PairOf, Followed]:
        """The pairs that wait."""
        taken, self._pairs = self._pairs, {}
        return taken

    def take_back(self, pairs: Mapping[PairOf, Followed]) -> None:
        """Pairs that could not be stored."""
        for pair, followed in pairs.items():
            self._add(pair, followed)

    def forget(self, is_forgotten: Callable[[Principal, bytes], bool]) -> None:
        """Drop questions, by their principal and digest."""
        for asker in [asker for asker, (digest, _) in self._last.items() if is_forgotten(asker[0], digest)]:
            del self._last[asker]
        for principal, pair in list(self._pairs):
            if any(is_forgotten(principal, digest) for digest in pair):
                del self._pairs[principal, pair]

    def _add(self, pair: PairOf, more: Followed) -> None:
        known = self._pairs.get(pair)
        if known is not None:
            more = Followed(known.count + more.count, min(known.first_ms, more.first_ms))
        elif len(self._pairs) >= WAITING:
            return
        self._pairs[pair] = more


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
        self.left_out_count = 0
        """Questions whose follow-ups nobody came to look up."""

    def __call__(self, asked: Asked) -> None:
        """Take a question that was answered."""
        if asked.error_code is not None:
            return
        search = asked.asking.search
        digest = digest_of(search.query)
        if (search.principal, digest) in self._ahead:
            del self._ahead[search.principal, digest]
            self.used_count += asked.cache not in ("miss", "off")
        self.left_out_count += len(self._latest) == LATEST
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
