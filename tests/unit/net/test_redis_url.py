"""Where an address of a Redis leads."""

from __future__ import annotations

import pytest

from ragstone.errors import InvalidSetting
from ragstone.net.redis_url import RedisAddress, read_redis_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://cache", RedisAddress("single", (("cache", 6379),))),
        ("redis://127.0.0.1:7000/3", RedisAddress("single", (("127.0.0.1", 7000),), database=3)),
        ("redis://[::1]:7000?db=2", RedisAddress("single", (("::1", 7000),), database=2)),
        (
            "rediss://me:p%40ss%2F@cache/?ca_file=/etc/ca.pem",
            RedisAddress("single", (("cache", 6379),), "me", "p@ss/", is_tls=True, ca_file="/etc/ca.pem"),
        ),
        ("redis://:secret@cache", RedisAddress("single", (("cache", 6379),), None, "secret")),
        (
            "redis+sentinel://:secret@one,two:7000/main?db=1&sentinel_password=other",
            RedisAddress(
                "sentinel",
                (("one", 26379), ("two", 7000)),
                None,
                "secret",
                1,
                "main",
                sentinel_password="other",
            ),
        ),
        (
            "rediss+cluster://me:secret@one:7000,two",
            RedisAddress("cluster", (("one", 7000), ("two", 6379)), "me", "secret", is_tls=True),
        ),
    ],
)
def test_addresses_are_read(url: str, expected: RedisAddress) -> None:
    """Kind, hosts, account, database, service, TLS."""
    assert read_redis_url(url) == expected


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://:s3cret@cache", "scheme is 'http'"),
        ("redis+ring://:s3cret@cache", "scheme is 'redis+ring'"),
        ("redis://:s3cret@", "a host is missing"),
        ("redis://:s3cret@cache:0", "'0' is no port"),
        ("redis://:s3cret@cache:port", "'port' is no port"),
        ("redis://:s3cret@cache/first", "'first' is no number of a database"),
        ("redis://:s3cret@cache?pool=9", "no option 'pool'"),
        ("redis+sentinel://:s3cret@cache", "names no service"),
        ("redis+cluster://:s3cret@cache/2", "only the database 0"),
        ("redis://[::1:s3cret@cache", "no URL"),
    ],
)
def test_what_is_no_address_is_told_without_its_password(url: str, problem: str) -> None:
    """The message says what is wrong and what is right; the password is not in it."""
    with pytest.raises(InvalidSetting) as caught:
        read_redis_url(url)

    assert problem in caught.value.message
    assert "redis+sentinel://host" in caught.value.message
    assert "s3cret" not in caught.value.message


def test_the_place_has_no_credentials() -> None:
    """What messages call it."""
    address = read_redis_url("redis+sentinel://me:s3cret@one,[::1]:7000/main")

    assert address.place == "one:26379,[::1]:7000/main"
