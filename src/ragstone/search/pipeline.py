"""understand > lexical + dense > fuse > hydrate > trim, at one corpus version."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio

from ragstone.deadline import Deadline
from ragstone.errors import DeadlineExceeded, DependencyFailed
from ragstone.search.fuse import fuse, fuse_ranks
from ragstone.search.legs import LegResults, Legs, Plan
from ragstone.search.noted import note
from ragstone.search.standing import LONGEST_S
from ragstone.search.trim import Ranked, trim
from ragstone.search.understand import default_weights
from ragstone.settings import SearchSettings
from ragstone.store.passages import Hydrated, hydrate, matching_documents
from ragstone.store.surroundings import surroundings
from ragstone.telemetry.trail import SearchNote
from ragstone.types import (
    Collection,
    CollectionId,
    Expansion,
    Fusion,
    Hit,
    SearchRequest,
    SearchResult,
    Weights,
)

if TYPE_CHECKING:
    from ragstone.index.follower import IndexFollower
    from ragstone.models.ports import Embedder
    from ragstone.search.standing import Standings
    from ragstone.store.database import Database
    from ragstone.telemetry.stages import StageTimer

MOST_ATTEMPTS = 64
"""Ends a search that other writers outrun again and again, long before its deadline would."""
OVERFETCH = 4
"""Candidates hydrated beyond top_k, so that one that went away rarely costs a second read."""
HYDRATED_AT_ONCE = 1_000
"""Candidates read together when the first ones went away; SQLite takes 32,766 values in a statement."""


class SearchPipeline:
    """Answers search requests over the indexes of this process."""

    def __init__(
        self,
        database: Database,
        follower: IndexFollower,
        embedder: Embedder,
        settings: SearchSettings,
        standings: Standings,
    ) -> None:
        self._database = database
        self._follower = follower
        self._embedder = embedder
        self._settings = settings
        self._standings = standings
        self._legs = Legs(follower, embedder, settings.leg_timeout_s)

    async def run(self, request: SearchRequest, deadline: Deadline, timer: StageTimer) -> SearchResult:
        """Search; the result's `corpus_version` was applied before any leg was asked.

        Raises:
            InvalidRequest: the query is empty or too long.
            CollectionNotFound: a named collection does not exist.
            DependencyFailed: no leg that the mode asks for gave an answer.
            DeadlineExceeded: the time is used up.
        """
        request = self._standings.normalised(request)
        deadline.check("search")
        try:
            with anyio.fail_after(min(deadline.remaining_s, LONGEST_S)):
                return await self._run(request, deadline, timer)
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"The search did not end within the {deadline.budget_s:g} s given to it; "
                "try again, or give it more time (search.timeout_s)."
            ) from error

    async def _run(self, request: SearchRequest, deadline: Deadline, timer: StageTimer) -> SearchResult:
        depth = max(self._settings.candidates, request.top_k + OVERFETCH)
        noted = timer.trail.search = SearchNote(request)
        await self._standings.catch_up(deadline)
        for attempt in range(MOST_ATTEMPTS):
            deadline.check("search")
            applied = self._follower.applied_version
            collections = await self._standings.resolve(request, deadline)
            version = self._follower.corpus_version(collection.id for collection in collections)
            plan = await self._plan(request, collections, depth, timer)
            try:
                legs = await self._legs.ask(plan, deadline, timer)
            except DependencyFailed:
                # A collection that was dropped meanwhile is looked for again, and then not found.
                if self._follower.holds(collections) or attempt == MOST_ATTEMPTS - 1:
                    raise
                continue
            with timer.stage("fuse"):
                ranked = self._fuse(plan, legs)
            note(noted, plan, legs, ranked, self._fusion(request))
            with timer.stage("hydrate"):
                hydrated, is_complete = await self._hydrate(plan, ranked)
            if await self._caught_up(hydrated, applied, is_complete=is_complete):
                continue
            if self._is_short(plan, hydrated, ranked):
                depth *= 4
                continue
            break
        hits = trim(ranked, hydrated.chunks, request.top_k)
        if request.expand is not None:
            with timer.stage("expand"):
                hits = await self._expand(request, request.expand, hits)
        return SearchResult(hits, version, legs.degraded, timer.timings_ms())

    async def _plan(
        self, request: SearchRequest, collections: tuple[Collection, ...], depth: int, timer: StageTimer
    ) -> Plan:
        configured = Weights(self._settings.lexical_weight, self._settings.dense_weight)
        weights = request.weights or default_weights(
            request.query, collections, self._embedder.languages, configured
        )
        allowed: dict[CollectionId, AbstractSet[int] | None] = {
            collection.id: None for collection in collections
        }
        if request.filters is not None:
            with timer.stage("filter"):
                async with self._database.read() as connection:
                    for collection in collections:
                        allowed[collection.id] = await matching_documents(
                            connection, request.principal, collection.id, request.filters
                        )
        return Plan(request, collections, weights, allowed, depth)

    def _fuse(self, plan: Plan, legs: LegResults) -> Ranked:
        weights = plan.weights if plan.request.mode == "hybrid" else Weights()
        lexical, dense = legs.found.get("lexical", []), legs.found.get("dense", [])
        if self._fusion(plan.request) == "rrf":
            return fuse_ranks(lexical, dense, weights, self._settings.rrf_k)
        return fuse(lexical, dense, weights, plan.depth)

    def _fusion(self, request: SearchRequest) -> Fusion:
        return request.fusion or self._settings.fusion

    async def _hydrate(self, plan: Plan, ranked: Ranked) -> tuple[Hydrated, bool]:
        """Read candidates, best first, until top_k are there; and whether the first page lost none."""
        ids = [collection.id for collection in plan.collections]
        keys = [key for key, _ in ranked]
        principal = plan.request.principal
        wanted = min(plan.request.top_k, len(keys))
        first = plan.request.top_k + OVERFETCH
        async with self._database.read() as connection:
            hydrated = await hydrate(connection, principal, ids, keys[:first])
            is_complete = len(hydrated.chunks) == len(keys[:first])
            for start in range(first, len(keys), HYDRATED_AT_ONCE):
                if len(hydrated.chunks) >= wanted:
                    break
                more = await hydrate(connection, principal, ids, keys[start : start + HYDRATED_AT_ONCE])
                # The later snapshot's versions: what changed between the two is caught up with.
                hydrated = replace(more, chunks={**hydrated.chunks, **more.chunks})
        return hydrated, is_complete

    async def _expand(
        self, request: SearchRequest, expansion: Expansion, hits: tuple[Hit, ...]
    ) -> tuple[Hit, ...]:
        keys = [hit.chunk_key for hit in hits]
        async with self._database.read() as connection:
            found = await surroundings(connection, request.principal, keys, expansion)
        return tuple(replace(hit, surroundings=found.get(hit.chunk_key)) for hit in hits)

    async def _caught_up(self, hydrated: Hydrated, applied: int, *, is_complete: bool) -> bool:
        """Catch up when the answer may be wrong without: then search again.

        Other processes' changes are always waited for. Our own that are not acknowledged yet only matter
        when a candidate was lost to one: its document may have other text by now. `applied` is what the
        indexes had before the legs were asked; they may have moved on since.
        """
        newer = hydrated.store_version > applied
        if not newer or (is_complete and not self._follower.is_behind_others(hydrated.store_version)):
            return False
        await self._follower.catch_up(hydrated.store_version)
        return True

    def _is_short(self, plan: Plan, hydrated: Hydrated, ranked: Ranked) -> bool:
        """Whether invisible candidates left fewer than top_k hits while the indexes hold more to ask for."""
        is_cut_off = len(ranked) >= plan.depth
        return len(hydrated.chunks) < plan.request.top_k and is_cut_off
