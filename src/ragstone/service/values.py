"""The cache as a place for a program's own values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias, Union

import msgspec

from ragstone.cache.cache import Kind
from ragstone.errors import InvalidRequest
from ragstone.types import LOCAL_OWNER, Principal

if TYPE_CHECKING:
    from ragstone.cache.cache import Cache

PlainValue: TypeAlias = Union[  # noqa: UP007 (a type that names itself)
    bool, int, float, str, bytes, list["PlainValue"], dict[str, "PlainValue"], None
]
"""What comes back as it was kept; integers of 64 bits."""

LONGEST_KEY = 512
LARGEST_VALUE = 2**20

VALUES: Kind[bytes] = Kind("values", bytes, bytes, keep="behind")


class ValueService:
    """Keeps plain values for a time: in Redis or the file behind the caches, else in memory.

    All processes on one Redis see one value at any time, those on one file some moments later. What the
    cache cannot keep is not kept, and what it cannot read is not found: the program makes it again.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    async def get(self, key: str, principal: Principal = LOCAL_OWNER) -> PlainValue:
        """The value under `key`; None when there is none.

        Raises:
            InvalidRequest: the key is empty, over `LONGEST_KEY` characters or no Unicode text.
        """
        return (await self.get_many([key], principal)).get(key)

    async def get_many(
        self, keys: Iterable[str], principal: Principal = LOCAL_OWNER
    ) -> dict[str, PlainValue]:
        """The values that there are, by their keys, in one turn; raises as `get`."""
        wanted = list(dict.fromkeys(keys))
        found = await self._cache.get_many(VALUES, [_key(key, principal) for key in wanted])
        return {
            key: msgspec.msgpack.decode(value)
            for key, value in zip(wanted, found, strict=True)
            if value is not None
        }

    async def set(
        self, key: str, value: PlainValue, ttl_s: float | None = None, principal: Principal = LOCAL_OWNER
    ) -> None:
        """Keep a value for `ttl_s` seconds, or `cache.values_ttl_s`; what was there is replaced.

        Raises:
            InvalidRequest: a key as for `get`, a value that is not plain or over `LARGEST_VALUE` bytes,
                a time that is not positive.
        """
        await self.set_many({key: value}, ttl_s, principal)

    async def set_many(
        self,
        values: Mapping[str, PlainValue],
        ttl_s: float | None = None,
        principal: Principal = LOCAL_OWNER,
    ) -> None:
        """Keep values by their keys, in one turn; all or, where one is refused, none. Raises as `set`."""
        if ttl_s is not None and not 0 < ttl_s < math.inf:
            raise InvalidRequest(f"ttl_s is {ttl_s}; a value is kept for a number of seconds above 0.")
        entries = {_key(key, principal): _encoded(key, value) for key, value in values.items()}
        self._cache.put_many(VALUES, entries, ttl_s=ttl_s)
        await self._cache.written()

    async def delete(self, key: str, principal: Principal = LOCAL_OWNER) -> None:
        """Forget the value under `key`, if there is one.

        Raises:
            InvalidRequest: as `get`.
            CacheFailed: the tier behind does not answer.
        """
        await self._cache.delete(_key(key, principal))

    async def clear(self, pattern: str = "*", principal: Principal = LOCAL_OWNER) -> int:
        """Forget every value whose key matches the glob; how many went.

        Raises:
            CacheFailed: the tier behind does not answer.
        """
        return await self._cache.clear(f"values:{principal.tenant_id}:{pattern}")


def _key(key: str, principal: Principal) -> str:
    if not 1 <= len(key) <= LONGEST_KEY:
        raise InvalidRequest(f"A key of {len(key)} characters; it must have 1 to {LONGEST_KEY}.")
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"The key {key!r} is no Unicode text: {error.reason}.") from error
    return f"values:{principal.tenant_id}:{key}"


def _encoded(key: str, value: PlainValue) -> bytes:
    try:
        _require_plain(value)
        encoded = msgspec.msgpack.encode(value)
    except (TypeError, OverflowError, ValueError, RecursionError) as error:
        raise InvalidRequest(
            f"The value under {key!r} cannot be kept: {error}. Keep numbers, texts, bytes, lists and "
            "dictionaries of these."
        ) from error
    if len(encoded) > LARGEST_VALUE:
        raise InvalidRequest(
            f"The value under {key!r} takes {len(encoded)} bytes; at most {LARGEST_VALUE} are kept."
        )
    return encoded


def _require_plain(value: object) -> None:
    """Go on only with what comes back as it is: a set or a tuple would come back as a list."""
    if type(value) is list:
        for part in value:
            _require_plain(part)
    elif type(value) is dict:
        for name, part in value.items():
            if type(name) is not str:
                raise TypeError(f"the name {name!r} in a dictionary is no text")
            _require_plain(part)
    elif value is not None and type(value) not in (bool, int, float, str, bytes):
        raise TypeError(f"{type(value).__name__} is no plain value")
