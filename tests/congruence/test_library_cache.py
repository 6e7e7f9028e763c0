"""The cache of the library as a place for a program's own values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ragstone import AsyncRagstone, Ragstone
from ragstone.errors import InvalidRequest
from tests.requirements import verifies
from tests.support.redis import RedisServer, running_redis
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from ragstone.service.values import PlainValue

pytestmark = pytest.mark.anyio
LIMIT_S = 60.0
VALUES: dict[str, PlainValue] = {
    "number": 1,
    "share": 0.5,
    "text": "héron",
    "bytes": b"\x00\xff",
    "nested": {"a": [1, None, True, {"b": "c"}]},
    "nothing": None,
    "odd key: *[?] \n": "found",
}


@pytest.fixture(params=["memory", "a file", "Redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, dict[str, str | int]]]:
    """A home, and the settings by which its values lie there."""
    with ExitStack() as stack:
        settings: dict[str, str | int] = {}
        if request.param == "memory":
            settings["cache.disk_max_bytes"] = 0
        if request.param == "Redis":
            settings["cache.redis_url"] = stack.enter_context(running_redis(tmp_path / "redis")).url
        yield tmp_path / "home", settings


@verifies("CAC-17")
def test_values_come_back_as_they_were_kept(place: tuple[Path, dict[str, str | int]]) -> None:
    """One and many, replaced, forgotten by key and by glob; nothing is not none."""
    home, settings = place
    with Ragstone(home, settings=settings) as rag:
        rag.cache.set_many(VALUES)
        rag.cache.set("number", 2)

        assert rag.cache.get_many([*VALUES, "missing"]) == {**VALUES, "number": 2}
        assert rag.cache.get("nothing") is rag.cache.get("missing") is None
        rag.cache.delete("text")
        rag.cache.delete("missing")
        assert rag.cache.clear("n*") == 3
        assert set(rag.cache.get_many(VALUES)) == {"share", "bytes", "odd key: *[?] \n"}
        (figures,) = [one for one in rag.cache_statistics().caches if one.name == "values"]
        assert (figures.sets, sum(figures.hits.values()), figures.misses) == (8, 11, 6)
        assert rag.clear_cache("values") == 3


@verifies("CAC-17")
def test_a_value_lasts_as_long_as_it_was_given(place: tuple[Path, dict[str, str | int]]) -> None:
    """A moment, or by the setting; only what lies behind memory outlives the program."""
    home, settings = place
    with Ragstone(home, settings=settings) as rag:
        rag.cache.set("short", 1, ttl_s=0.001)
        rag.cache.set("long", 1)
        wait_until(lambda: "short" not in rag.cache.get_many(["short"]) or None, LIMIT_S)
        assert rag.cache.get_many(["short", "long"]) == {"long": 1}
    with Ragstone(home, settings=settings) as again:
        assert again.cache.get("long") == (None if "cache.disk_max_bytes" in settings else 1)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own."""
    with running_redis(tmp_path / "redis") as server:
        yield server


@verifies("CAC-17")
async def test_processes_see_one_value(tmp_path: Path, redis: RedisServer) -> None:
    """No copy is kept where another process may have replaced it; a lost Redis is a miss."""
    settings = {"cache.redis_url": redis.url}
    async with (
        AsyncRagstone(tmp_path / "one", settings=settings) as one,
        AsyncRagstone(tmp_path / "two", settings=settings) as two,
    ):
        await one.cache.set("key", "old")
        assert await two.cache.get("key") == "old"
        await one.cache.set("key", "new")
        assert await two.cache.get("key") == "new"
        await one.cache.delete("key")
        assert await two.cache.get("key") is None

        await one.cache.set("key", "kept")
        redis.kill()
        assert await two.cache.get("key") is None
        await two.cache.set("key", "lost")
        assert (await two.search("What?")).degraded == ("cache:redis",)


@verifies("CAC-17")
@pytest.mark.parametrize(
    ("key", "value", "ttl_s", "said"),
    [
        ("", 1, None, "A key of 0 characters"),
        ("k" * 513, 1, None, "A key of 513 characters; it must have 1 to 512"),
        ("\ud800", 1, None, "no Unicode text"),
        ("k", object(), None, "The value under 'k' cannot be kept"),
        ("k", [{1, 2}], None, "set is no plain value"),
        ("k", (1, 2), None, "tuple is no plain value"),
        ("k", {1: 2}, None, "the name 1 in a dictionary is no text"),
        ("k", {"a": 2**64}, None, "The value under 'k' cannot be kept"),
        ("k", b"x" * 2**20, None, "takes 1048581 bytes; at most 1048576"),
        ("k", 1, 0.0, "ttl_s is 0.0"),
        ("k", 1, float("nan"), "ttl_s is nan"),
    ],
)
async def test_what_cannot_be_kept_is_refused(
    tmp_path: Path, key: str, value: object, ttl_s: float | None, said: str
) -> None:
    """With what it is and what may be; nothing of the same call is kept."""
    async with AsyncRagstone(tmp_path) as rag:
        with pytest.raises(InvalidRequest, match=said):
            await rag.cache.set_many({"good": 1, key: value}, ttl_s)  # type: ignore[dict-item]
        assert await rag.cache.get("good") is None
