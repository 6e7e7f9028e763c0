"""The cache for a program's own values, for code without asyncio."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ragstone.entrypoints.python_blocking_analytics import Run
    from ragstone.service.values import PlainValue, ValueService


class BlockingCache:
    """See `ValueService`; the same methods, blocking."""

    def __init__(self, inner: ValueService, run: Run) -> None:
        self._inner = inner
        self._run = run

    def get(self, key: str) -> PlainValue:
        """See `ValueService.get`."""
        return self._run(partial(self._inner.get, key))

    def get_many(self, keys: Iterable[str]) -> dict[str, PlainValue]:
        """See `ValueService.get_many`."""
        return self._run(partial(self._inner.get_many, keys))

    def set(self, key: str, value: PlainValue, ttl_s: float | None = None) -> None:
        """See `ValueService.set`."""
        self._run(partial(self._inner.set, key, value, ttl_s))

    def set_many(self, values: Mapping[str, PlainValue], ttl_s: float | None = None) -> None:
        """See `ValueService.set_many`."""
        self._run(partial(self._inner.set_many, values, ttl_s))

    def delete(self, key: str) -> None:
        """See `ValueService.delete`."""
        self._run(partial(self._inner.delete, key))

    def clear(self, pattern: str = "*") -> int:
        """See `ValueService.clear`."""
        return self._run(partial(self._inner.clear, pattern))
