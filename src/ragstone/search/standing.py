"""Where a request stands: who reads which collections at which version, as keys and freshness need it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import anyio

from ragstone.cache.keys import Reader, RetrievalKey
from ragstone.errors import CollectionNotFound, DeadlineExceeded
from ragstone.search.understand import normalise_query
from ragstone.types import Collection, CollectionId, SearchRequest

if TYPE_CHECKING:
    from ragstone.deadline import Deadline
    from ragstone.index.follower import IndexFollower
    from ragstone.store.database import Database
    from ragstone.store.version_watch import CorpusState

LONGEST_S = 24 * 3600.0
"""Stands for no limit."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A normalised request over resolved collections, at the version that the indexes have applied."""

    request: SearchRequest
    reader: Reader
    collection_ids: tuple[CollectionId, ...]
    corpus_version: int

    def key(self, recipe: str) -> RetrievalKey:
        """The key of this search."""
        return RetrievalKey.of(self.reader, self.request, self.collection_ids, self.corpus_version, recipe)


class Standings:
    """Takes the standing of requests, and tells whether it has held."""

    def __init__(self, database: Database, follower: IndexFollower, query_max_chars: int) -> None:
        self._database = database
        self._follower = follower
        self._query_max_chars = query_max_chars

    async def take(self, request: SearchRequest, deadline: Deadline) -> Standing:
        """The standing now, after every change that was acknowledged anywhere before this call.

        Raises:
            InvalidRequest: the query is empty or too long.
            CollectionNotFound: a named collection does not exist.
            DeadlineExceeded: the indexes did not catch up in time.
        """
        request = self.normalised(request)
        state = await self.catch_up(deadline)
        ids = tuple(collection.id for collection in await self.resolve(request, deadline))
        version = self._follower.corpus_version(ids)
        return Standing(request, Reader.of(state.epoch, request.principal), ids, version)

    async def catch_up(self, deadline: Deadline) -> CorpusState:
        """What the truth is at, once every change that others have acknowledged is in the indexes.

        Raises:
            DeadlineExceeded: that took too long.
        """
        state = await self._database.corpus_state()
        if self._follower.is_behind_others(state.version):
            await self._apply(state.version, deadline)
        return state

    def normalised(self, request: SearchRequest) -> SearchRequest:
        """The request with its query as both legs take it.

        Raises:
            InvalidRequest: the query is empty or too long.
        """
        query = normalise_query(request.query, self._query_max_chars)
        return request if query == request.query else replace(request, query=query)

    async def resolve(self, request: SearchRequest, deadline: Deadline) -> tuple[Collection, ...]:
        """The collections by name, in the order asked, each once.

        Raises:
            CollectionNotFound: a named collection does not exist.
            DeadlineExceeded: the indexes did not catch up in time.
        """
        tenant_id = request.principal.tenant_id
        names = tuple(dict.fromkeys(request.collections))
        known = self._follower.collections_of(tenant_id)
        if any(name not in known for name in names):
            await self._apply(await self._database.corpus_version(), deadline)
            known = self._follower.collections_of(tenant_id)
        for name in names:
            if name not in known:
                raise CollectionNotFound(name, tuple(sorted(known)))
        return tuple(known[name] for name in names)

    async def has_held(self, standing: Standing) -> bool:
        """Whether nothing has changed for this request since: what was made meanwhile is of its version.

        The truth itself is asked, because a change may be committed before the indexes have it.
        """
        state = await self._database.corpus_state()
        if state.epoch != standing.reader.epoch:
            return False
        if self._follower.corpus_version(standing.collection_ids) != standing.corpus_version:
            return False
        if self._follower.applied_version == state.version:
            return True
        return await self._database.newest_change(standing.collection_ids) == standing.corpus_version

    async def _apply(self, version: int, deadline: Deadline) -> None:
        try:
            with anyio.fail_after(min(deadline.remaining_s, LONGEST_S)):
                await self._follower.catch_up(version)
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"The indexes did not catch up with version {version} within the {deadline.budget_s:g} s "
                "given to this request; try again, or give it more time."
            ) from error
