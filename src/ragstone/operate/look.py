"""A look at one dependency that nobody has to wait for: it goes on in the background."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import structlog

from ragstone.errors import RagstoneError

log = structlog.get_logger(__name__)

Status = Literal["ok", "degraded", "failed"]
Seen = tuple[Status, str]
"""How a dependency is, and what to know about it."""

GIVE_UP_S = 1.0
"""A dependency that has not answered for so long does not answer; until then it is slow."""
LONGEST_S = 10.0
FIRST_WAIT_S = 0.04
"""For a patient look that has seen nothing yet."""


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    """One dependency: how it is, how long the look took, and what to know about it."""

    name: str
    status: Status
    latency_ms: float
    detail: str


class Look:
    """One dependency, looked at once at a time, whoever asks; belongs to one event loop.

    With `every_s` the look is patient: who asks gets what was seen last, at most so old, at once.
    """

    def __init__(
        self,
        name: str,
        see: Callable[[], Awaitable[Seen]],
        *,
        every_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.last: ComponentHealth | None = None
        """What was seen last."""
        self._see = see
        self._every_s = every_s
        self._clock = clock
        self._began = self._ended = -LONGEST_S
        self._running: asyncio.Task[None] | None = None

    async def ask(self, wait_s: float, kept_s: float = 0.0) -> ComponentHealth:
        """What is seen within `wait_s`, or was seen less than `kept_s` ago."""
        if self._running is None and self._is_due(kept_s):
            self._began = self._clock()
            self._running = asyncio.create_task(self._look(), name=f"look at {self.name}")
        is_known = self._every_s > 0 and self.last is not None
        if self._running is not None and not is_known:
            await asyncio.wait(
                {self._running}, timeout=min(wait_s, FIRST_WAIT_S) if self._every_s else wait_s
            )
        if self.last is not None and (self._running is None or is_known):
            return self.last
        return self._unanswered()

    async def aclose(self) -> None:
        """Stop looking."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})

    def _is_due(self, kept_s: float) -> bool:
        return self.last is None or self._clock() - self._ended >= max(kept_s, self._every_s)

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(LONGEST_S):
                status, detail = await self._see()
        except TimeoutError:
            status, detail = "failed", f"no answer within {LONGEST_S:g} s"
        except RagstoneError as error:
            status, detail = "failed", error.message
        except Exception as error:
            log.exception("look_failed", component=self.name)
            status, detail = (
                "failed",
                f"looking at it failed ({type(error).__name__}); the log has the details",
            )
        finally:
            self._running = None
        self._ended = self._clock()
        latency_ms = round((self._ended - self._began) * 1000, 3)
        self.last = ComponentHealth(self.name, status, latency_ms, detail)

    def _unanswered(self) -> ComponentHealth:
        waited_s = self._clock() - self._began
        if self._every_s:
            return ComponentHealth(self.name, "ok", round(waited_s * 1000, 3), "being looked at")
        was_failed = self.last is not None and self.last.status == "failed"
        status: Status = "failed" if waited_s >= GIVE_UP_S or was_failed else "degraded"
        return ComponentHealth(
            self.name, status, round(waited_s * 1000, 3), f"no answer for {waited_s * 1000:.0f} ms"
        )
