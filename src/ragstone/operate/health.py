"""Is the product well: every dependency looked at side by side, never loading a model."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import anyio

from ragstone.errors import RagstoneError
from ragstone.models.unavailable import UnavailableEmbedder
from ragstone.resilience.breaker import BreakerFigures

if TYPE_CHECKING:
    from ragstone.cache.cache import Cache
    from ragstone.index.follower import IndexFollower
    from ragstone.models.generator_chain import GeneratorChain
    from ragstone.models.ports import Embedder
    from ragstone.resilience.breaker import Breakers
    from ragstone.store.database import Database

LIMIT_S = 0.05

Status = Literal["ok", "degraded", "failed"]


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    """One dependency: how it is, how long the look took, and what to know about it."""

    name: str
    status: Status
    latency_ms: float
    detail: str


@dataclass(frozen=True, slots=True)
class HealthReport:
    """The whole: `failed` when the truth does not answer, `degraded` when anything else is wrong."""

    status: Status
    corpus_version: int
    components: tuple[ComponentHealth, ...]
    breakers: tuple[BreakerFigures, ...] = ()


class Health:
    """Looks at the parts of this process."""

    def __init__(
        self,
        database: Database,
        follower: IndexFollower,
        embedder: Embedder,
        generator: GeneratorChain | None,
        cache: Cache,
        breakers: Breakers,
    ) -> None:
        self._database = database
        self._follower = follower
        self._embedder = embedder
        self._generator = generator
        self._cache = cache
        self._breakers = breakers

    async def report(self) -> HealthReport:
        """How everything is, within about `LIMIT_S`."""
        looks: dict[str, Callable[[], Awaitable[tuple[Status, str]]]] = {
            "store": self._store,
            "indexes": self._indexes,
            "embedder": self._embedding,
            "generator": self._generation,
            "cache": self._caching,
        }
        found: dict[str, ComponentHealth] = {}

        async def look(name: str) -> None:
            began = time.perf_counter()
            status, detail = await _within_limit(looks[name])
            found[name] = ComponentHealth(
                name, status, round((time.perf_counter() - began) * 1000, 3), detail
            )

        async with anyio.create_task_group() as group:
            for name in looks:
                group.start_soon(look, name)
        components = tuple(found[name] for name in looks)
        status: Status = "ok" if all(part.status == "ok" for part in components) else "degraded"
        if found["store"].status == "failed":
            status = "failed"
        breakers = tuple(self._breakers.figures())
        return HealthReport(status, self._follower.applied_version, components, breakers)

    async def _store(self) -> tuple[Status, str]:
        return "ok", f"version {await self._database.corpus_version()}"

    async def _indexes(self) -> tuple[Status, str]:
        broken = self._follower.broken_collections()
        if broken:
            return "degraded", f"no lexical index for {', '.join(broken)}"
        return "ok", f"applied version {self._follower.applied_version}"

    async def _embedding(self) -> tuple[Status, str]:
        if isinstance(self._embedder, UnavailableEmbedder):
            return "degraded", self._embedder.reason
        if (reason := self._left_alone("embedder")) is not None:
            return "degraded", reason
        return "ok", f"{self._embedder.model_id}@{self._embedder.revision}"

    async def _generation(self) -> tuple[Status, str]:
        if self._generator is None:
            return "ok", "none: answers are extractive"
        if (reason := self._left_alone("generator")) is not None:
            return "degraded", reason
        return "ok", ", then ".join(self._generator.models)

    async def _caching(self) -> tuple[Status, str]:
        if self._cache.tier_error is not None:
            return "degraded", f"{self._cache.tier_error} Answers are made anew meanwhile."
        return "ok", f"memory, then {self._cache.tier_name}" if self._cache.tier_name else "memory"

    def _left_alone(self, name: str) -> str | None:
        """Why a part is not asked now; None while its breaker is closed."""
        found = self._breakers.find(name)
        if found is None or found.reason is None:
            return None
        return f"left alone, tried again in {found.retry_in_s:.0f} s: {found.reason}"


async def _within_limit(look: Callable[[], Awaitable[tuple[Status, str]]]) -> tuple[Status, str]:
    try:
        with anyio.fail_after(LIMIT_S):
            return await look()
    except TimeoutError:
        return "degraded", f"no answer within {LIMIT_S * 1000:g} ms"
    except RagstoneError as error:
        return "failed", error.message
