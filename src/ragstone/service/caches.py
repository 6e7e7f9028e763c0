"""Looking at the caches, and clearing them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from ragstone.cache.ports import CacheName, TierStatistics
from ragstone.errors import CollectionNotFound, InvalidRequest
from ragstone.service.values import ValueService
from ragstone.types import LOCAL_OWNER, Principal

if TYPE_CHECKING:
    from ragstone.cache.cache import Cache, CacheStatistics
    from ragstone.index.follower import IndexFollower

CACHES: tuple[CacheName, ...] = get_args(CacheName)


@dataclass(frozen=True, slots=True)
class CachesReport:
    """Figures of every cache since this process began, and of the tier behind them."""

    caches: tuple[CacheStatistics, ...]
    tier: TierStatistics | None


class CacheService:
    """The operator's view of the caches."""

    def __init__(self, cache: Cache, follower: IndexFollower) -> None:
        self._cache = cache
        self._follower = follower
        self.values = ValueService(cache)

    async def statistics(self) -> CachesReport:
        """Hits, misses, bytes and what was saved, per cache."""
        return CachesReport(tuple(self._cache.statistics()), await self._cache.tier_statistics())

    async def clear(
        self,
        name: str | None = None,
        *,
        pattern: str = "*",
        collection: str | None = None,
        principal: Principal = LOCAL_OWNER,
    ) -> int:
        """Forget what one cache (or every one) holds of one collection (or all); how many entries went.

        `pattern` is a glob over the part of a key behind the cache's name.

        Raises:
            InvalidRequest: there is no such cache.
            CollectionNotFound: there is no such collection.
            CacheFailed: the tier behind does not answer; this process's entries are gone then.
        """
        if name is not None and name not in CACHES:
            raise InvalidRequest(f"There is no cache {name!r}; there are {', '.join(CACHES)}.")
        collection_id = None
        if collection is not None:
            known = self._follower.collections_of(principal.tenant_id)
            if collection not in known:
                raise CollectionNotFound(collection, tuple(sorted(known)))
            collection_id = known[collection].id
        if name is not None:
            # Responses that were made of them go, too; they count with what they say.
            await self._cache.clear(f"rendered:*:{name}:{pattern}", collection_id)
        return await self._cache.clear(f"{name or '*'}:{pattern}", collection_id)
