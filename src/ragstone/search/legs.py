"""Asking both legs side by side, each under its own limit; one that fails is named, not fatal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from ragstone.deadline import Deadline
from ragstone.errors import DeadlineExceeded, DependencyFailed, ModelMismatch, Overloaded, RagstoneError
from ragstone.search.fuse import interleave
from ragstone.types import Candidate, Collection, CollectionId, SearchRequest, Vector, Weights

if TYPE_CHECKING:
    from ragstone.index.follower import IndexFollower
    from ragstone.models.ports import Embedder
    from ragstone.telemetry.stages import StageTimer

EMBEDDING_SHARE = 0.9
"""Of a leg's time that the embedding model gets: what is left pays for the scan, and an embedder that does
not answer is told from a slow index."""
Allowed = Mapping[CollectionId, AbstractSet[int] | None]
"""Document keys that a filter lets through, per collection; None without a filter."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A request after understanding: what each leg is asked."""

    request: SearchRequest
    collections: tuple[Collection, ...]
    weights: Weights
    allowed: Allowed
    depth: int
    """Candidates wanted of each leg."""


@dataclass(slots=True)
class LegResults:
    """What the legs gave; a failed leg is absent and has its reason."""

    found: dict[str, list[Candidate]]
    failures: dict[str, RagstoneError]

    @property
    def degraded(self) -> tuple[str, ...]:
        """The failed legs with a word on each, such as `dense:failed`."""
        return tuple(f"{leg}:{_reason(error)}" for leg, error in sorted(self.failures.items()))


class Legs:
    """The lexical and the dense leg over the indexes of this process."""

    def __init__(self, follower: IndexFollower, embedder: Embedder, limit_s: float) -> None:
        self._follower = follower
        self._embedder = embedder
        self._limit_s = limit_s

    async def ask(self, plan: Plan, deadline: Deadline, timer: StageTimer) -> LegResults:
        """Candidates of the legs that the mode and the weights ask for.

        Raises:
            DependencyFailed: every one of them failed.
        """
        asked: dict[str, Callable[[], Awaitable[list[Candidate]]]] = {}
        if plan.request.mode != "dense" and (plan.weights.lexical > 0 or plan.request.mode == "lexical"):
            asked["lexical"] = lambda: self._lexical(plan)
        if plan.request.mode != "lexical" and (plan.weights.dense > 0 or plan.request.mode == "dense"):
            asked["dense"] = lambda: self._dense(plan, leg_deadline, timer)
        legs = LegResults({}, {})
        leg_deadline = Deadline.after(EMBEDDING_SHARE * deadline.at_most(self._limit_s), deadline.clock)

        async def ask(name: str) -> None:
            try:
                with timer.stage(name), anyio.fail_after(deadline.at_most(self._limit_s)):
                    legs.found[name] = await asked[name]()
            except TimeoutError:
                limit = self._limit_s
                legs.failures[name] = DeadlineExceeded(f"The {name} leg took longer than its {limit:g} s.")
            except (DependencyFailed, DeadlineExceeded, ModelMismatch, Overloaded) as error:
                legs.failures[name] = error

        async with anyio.create_task_group() as group:
            for name in asked:
                group.start_soon(ask, name)
        if asked and not legs.found:
            raise next(iter(legs.failures.values()))
        return legs

    async def _lexical(self, plan: Plan) -> list[Candidate]:
        legs = [
            await self._follower.search_lexical(
                collection.id, plan.request.query, plan.depth, plan.allowed[collection.id]
            )
            for collection in plan.collections
        ]
        return interleave(legs, plan.depth)

    async def _dense(self, plan: Plan, deadline: Deadline, timer: StageTimer) -> list[Candidate]:
        with timer.stage("embed_query"):
            vector: Vector = await self._embedder.embed_query(plan.request.query, deadline)
        for collection in plan.collections:
            check_model(collection, self._embedder)
        legs = [
            await self._follower.search_dense(collection.id, vector, plan.depth, plan.allowed[collection.id])
            for collection in plan.collections
        ]
        return interleave(legs, plan.depth)


def check_model(collection: Collection, embedder: Embedder) -> None:
    """Go on only when the collection's vectors are of the configured model.

    Raises:
        ModelMismatch: naming both and the fix.
    """
    if (collection.model_id, collection.model_revision) != (embedder.model_id, embedder.revision):
        raise ModelMismatch(
            f"Collection {collection.name!r} holds vectors of "
            f"{collection.model_id}@{collection.model_revision}, but the configured "
            f"model is {embedder.model_id}@{embedder.revision}. "
            "Configure that model again (models.embedding_path), or add the documents to a new collection."
        )


def _reason(error: RagstoneError) -> str:
    if isinstance(error, DeadlineExceeded):
        return "timeout"
    if isinstance(error, Overloaded):
        return "overloaded"
    return "model_mismatch" if isinstance(error, ModelMismatch) else "failed"
