"""Is the product well, and may it be sent requests: every dependency looked at side by side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from anyio import to_thread

from ragstone.models.generator_chain import breaker_name
from ragstone.models.unavailable import UnavailableEmbedder
from ragstone.operate.look import GIVE_UP_S, ComponentHealth, Look, Seen, Status
from ragstone.resilience.breaker import BreakerFigures
from ragstone.telemetry.devices import find_gpus

if TYPE_CHECKING:
    from ragstone.cache.cache import Cache
    from ragstone.index.follower import IndexFollower
    from ragstone.models.generator_chain import GeneratorChain
    from ragstone.models.ports import Embedder
    from ragstone.resilience.breaker import Breakers
    from ragstone.store.database import Database

WAIT_S = 0.04
"""Readiness is told within 50 ms, whatever hangs."""
KEPT_S = 1.0
"""Load balancers that ask more often see the same report."""
GPU_EVERY_S = 30.0

Phase = Literal["serving", "draining"]

__all__ = ["ComponentHealth", "Health", "HealthParts", "HealthReport", "Phase", "Status"]


@dataclass(frozen=True, slots=True)
class HealthParts:
    """What is looked at."""

    database: Database
    follower: IndexFollower
    embedder: Embedder
    generator: GeneratorChain | None
    cache: Cache
    breakers: Breakers
    reach_generators: Sequence[Callable[[], Awaitable[Seen]]] = ()
    """Ask the server of the generator, then those of its fallbacks, whether they are there, without
    generating; none leaves them alone."""
    reach_every_s: float = 30.0


@dataclass(frozen=True, slots=True)
class HealthReport:
    """The whole: `failed` when the truth does not answer, `degraded` when anything else is wrong."""

    status: Status
    phase: Phase
    corpus_version: int
    uptime_s: float
    components: tuple[ComponentHealth, ...]
    breakers: tuple[BreakerFigures, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether requests should be sent here: degraded parts alone are no reason against it."""
        return self.status != "failed" and self.phase == "serving"


class Health:
    """Looks at the parts of this process. Loads no model and generates nothing."""

    def __init__(self, parts: HealthParts, clock: Callable[[], float] = time.monotonic) -> None:
        self._parts = parts
        self._clock = clock
        self._began = clock()
        self._phase: Phase = "serving"
        every_s = parts.reach_every_s if parts.reach_generators else 0.0
        self._devices = Look("devices", _find_devices, every_s=GPU_EVERY_S, clock=clock)
        self._looks = (
            Look("store", self._store, clock=clock),
            Look("indexes", self._indexes, clock=clock),
            Look("embedder", self._embedding, clock=clock),
            Look("gpu", self._gpu, clock=clock),
            Look("generator", self._generation, every_s=every_s, clock=clock),
            Look("cache", self._caching, clock=clock),
        )

    async def report(self, kept_s: float = 0.0, wait_s: float = GIVE_UP_S) -> HealthReport:
        """How everything is, within about `wait_s`; looks younger than `kept_s` are not repeated."""
        components = await asyncio.gather(*(look.ask(wait_s, kept_s) for look in self._looks))
        status: Status = "ok" if all(part.status == "ok" for part in components) else "degraded"
        if components[0].status == "failed":
            status = "failed"
        breakers = tuple(self._parts.breakers.figures())
        applied, uptime_s = self._parts.follower.applied_version, round(self._clock() - self._began, 1)
        return HealthReport(status, self._phase, applied, uptime_s, tuple(components), breakers)

    async def readiness(self) -> HealthReport:
        """The report for a load balancer, at most `KEPT_S` old."""
        return await self.report(KEPT_S, WAIT_S)

    def seen(self) -> tuple[ComponentHealth, ...]:
        """What was seen last, without looking."""
        return tuple(look.last for look in self._looks if look.last is not None)

    def begin_draining(self) -> None:
        """From now on not ready: requests in flight end, new ones should go elsewhere."""
        self._phase = "draining"

    async def aclose(self) -> None:
        """Stop looking."""
        for look in (self._devices, *self._looks):
            await look.aclose()

    async def _store(self) -> Seen:
        return "ok", f"version {await self._parts.database.corpus_version()}"

    async def _indexes(self) -> Seen:
        broken = self._parts.follower.broken_collections()
        if broken:
            return "degraded", f"no lexical index for {', '.join(broken)}"
        return "ok", f"applied version {self._parts.follower.applied_version}"

    async def _embedding(self) -> Seen:
        embedder = self._parts.embedder
        if isinstance(embedder, UnavailableEmbedder):
            return "degraded", embedder.reason
        if (reason := self._left_alone("embedder")) is not None:
            return "degraded", reason
        return "ok", f"{embedder.model_id}@{embedder.revision}, {embedder.placement}"

    async def _gpu(self) -> Seen:
        names = (await self._devices.ask(WAIT_S / 2)).detail  # less than what waits for this look
        placement = self._parts.embedder.placement
        if placement.fallbacks:
            return "degraded", f"given up, the processor took over: {placement.note}"
        if placement.device == "cuda":
            return "ok", f"{names}; the embedding model runs on it"
        return "ok", f"{names}; the embedding model runs on the processor" + (
            f": {placement.note}" if placement.note else ""
        )

    async def _generation(self) -> Seen:
        if self._parts.generator is None:
            return "ok", "none: answers are extractive"
        models = self._parts.generator.models
        seen = await asyncio.gather(*(self._generating(place) for place in range(len(models))))
        told = ", then ".join(f"{model} {one[1]}".rstrip() for model, one in zip(models, seen, strict=True))
        if all(status == "ok" for status, _ in seen):
            return "ok", told
        if all(status != "ok" for status, _ in seen):
            told += "; answers quote the documents meanwhile"
        return "degraded", told

    async def _generating(self, place: int) -> Seen:
        """How one of the chain is: 0 is the configured one, the others are its fallbacks."""
        if (reason := self._left_alone(breaker_name(place))) is not None:
            return "degraded", reason
        reach = self._parts.reach_generators[place : place + 1]
        return await reach[0]() if reach else ("ok", "")

    async def _caching(self) -> Seen:
        cache = self._parts.cache
        # Asking the file would count its rows; asking Redis shows whether it is there.
        found = await cache.tier_statistics() if cache.tier_name == "redis" else None
        error = found.error if found is not None and not found.is_available else cache.tier_error
        if error is not None:
            return "degraded", f"{error} Answers are made anew meanwhile."
        return "ok", f"memory, then {cache.tier_name}" if cache.tier_name else "memory"

    def _left_alone(self, name: str) -> str | None:
        """Why a part is not asked now; None while its breaker is closed."""
        found = self._parts.breakers.find(name)
        if found is None or found.reason is None:
            return None
        return f"left alone, tried again in {found.retry_in_s:.0f} s: {found.reason}"


async def _find_devices() -> Seen:
    gpus = await to_thread.run_sync(find_gpus, abandon_on_cancel=True)
    return "ok", ", ".join(gpu.name for gpu in gpus) or "none found"
