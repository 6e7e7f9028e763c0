"""What processes share of the cache, as the settings say: Redis, else a file, else nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ragstone.cache.claims import Claims, LocalClaims, RedisClaims
from ragstone.cache.ports import Tier
from ragstone.cache.redis_tier import RedisTier
from ragstone.cache.sqlite_tier import SqliteTier
from ragstone.net.redis import RedisClient, RedisLimits, open_redis
from ragstone.resilience.breaker import Breakers
from ragstone.settings import CacheSettings
from ragstone.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class SharedCache:
    """Where entries outlive the process, and who makes which; both over the same connections."""

    tier: Tier | None = None
    claims: Claims = field(default_factory=LocalClaims)

    async def aclose(self) -> None:
        """Write what waits, close connections."""
        if self.tier is not None:
            await self.tier.aclose()


def open_shared_cache(
    settings: CacheSettings, path: Path, metrics: Metrics | None = None, breakers: Breakers | None = None
) -> SharedCache:
    """Redis when `cache.redis_url` is set, else a file at `path` unless `cache.disk_max_bytes` is 0.

    Nothing at all while caching is off.

    Nothing is connected or written before it is used: Redis need not be there yet.

    Raises:
        InvalidSetting: `cache.redis_url` is no address of a Redis.
        NotReady: it is one, and the extra `redis` is not installed.
    """
    if not settings.enabled:
        return SharedCache()
    redis = open_configured_redis(settings, breakers)
    if redis is not None:
        if metrics is not None:
            metrics.watch_redis(redis.usage)
        return SharedCache(RedisTier(redis), RedisClaims(redis))
    tier = SqliteTier(path, settings.disk_max_bytes) if settings.disk_max_bytes else None
    return SharedCache(tier, LocalClaims())


def open_configured_redis(settings: CacheSettings, breakers: Breakers | None = None) -> RedisClient | None:
    """A client for `cache.redis_url`; None when it is not set.

    Raises:
        InvalidSetting: it is no address of a Redis.
        NotReady: it is one, and the extra `redis` is not installed.
    """
    if settings.redis_url is None:
        return None
    limits = RedisLimits(settings.redis_connections, settings.redis_timeout_s, settings.redis_retry_s)
    return open_redis(settings.redis_url.get_secret_value(), limits, breakers=breakers)
