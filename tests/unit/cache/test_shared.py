"""Which tier the settings ask for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from ragstone.cache.claims import LocalClaims, RedisClaims
from ragstone.cache.shared import open_shared_cache
from ragstone.config import load
from ragstone.errors import InvalidSetting, NotReady
from ragstone.net.redis import RedisUsage
from ragstone.settings import CacheSettings
from ragstone.telemetry.metrics import Metrics

pytestmark = pytest.mark.anyio

REDIS = CacheSettings(redis_url=SecretStr("redis://me:s3cret@127.0.0.1:1"), redis_connections=7)


def files_in(folder: Path) -> list[Path]:
    """What was written there."""
    return list(folder.iterdir())


async def test_a_file_by_default(tmp_path: Path) -> None:
    """SQLite rows; nothing is written before there is something to write."""
    shared = open_shared_cache(CacheSettings(), tmp_path / "cache.db")

    assert shared.tier is not None
    assert shared.tier.name == "sqlite"
    assert isinstance(shared.claims, LocalClaims)
    assert files_in(tmp_path) == []
    await shared.aclose()


async def test_nothing_when_turned_off(tmp_path: Path) -> None:
    """Zero bytes of disk and no Redis."""
    shared = open_shared_cache(CacheSettings(disk_max_bytes=0), tmp_path / "cache.db")

    assert shared.tier is None
    await shared.aclose()


async def test_redis_when_configured(tmp_path: Path) -> None:
    """Redis and no file; what it does is in the metrics."""
    metrics = Metrics("0")
    shared = open_shared_cache(REDIS, tmp_path / "cache.db", metrics)

    assert shared.tier is not None
    assert shared.tier.name == "redis"
    assert isinstance(shared.claims, RedisClaims)
    assert 'ragstone_redis_calls{state="limit"} 7.0' in metrics.exposition().decode()
    assert "ragstone_redis_up 1.0" in metrics.exposition().decode()
    await shared.aclose()


async def test_the_extra_is_named_when_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configured Redis without its client is an error that says what to install."""
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)

    with pytest.raises(NotReady, match=r"ragstone\[redis\]"):
        open_shared_cache(REDIS, tmp_path / "cache.db")


def test_the_url_is_a_secret(tmp_path: Path) -> None:
    """Neither printed settings nor an error show it."""
    assert "s3cret" not in repr(REDIS)
    with pytest.raises(InvalidSetting) as caught:
        load(tmp_path, environ={}, flags={"cache.redis_url": 1.5, "cache.redis_timeout_s": 0})

    assert "a hidden value" in caught.value.message
    assert "1.5" not in caught.value.message


def test_usage_is_what_metrics_read() -> None:
    """The names fit."""
    metrics = Metrics("0")
    metrics.watch_redis(lambda: RedisUsage(2, 1, 50, 3, is_available=False))

    shown = metrics.exposition().decode()

    assert 'ragstone_redis_calls{state="busy"} 2.0' in shown
    assert 'ragstone_redis_calls{state="waiting"} 1.0' in shown
    assert "ragstone_redis_failures_total 3.0" in shown
    assert "ragstone_redis_up 0.0" in shown
