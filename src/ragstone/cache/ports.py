"""What a place for cached entries is asked to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

CacheName = Literal[
    "query_embedding", "retrieval", "answer", "generation", "semantic", "rendered", "document", "values"
]
"""The caches; a name is the first part of every key and the label of every figure."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A value on its way into a tier."""

    key: str
    """`{cache name}:{digest in hex}`; of `values`, `values:{tenant}:{the program's own key}`."""
    payload: bytes
    """MessagePack of the value."""
    ttl_s: float
    collections: tuple[str, ...] = ()
    """Ids of the collections that it was made from: clearing one of them removes it."""


@dataclass(frozen=True, slots=True)
class TierStatistics:
    """What a tier holds now and how it does."""

    name: str
    entries: int
    size_bytes: int
    is_available: bool
    error: str | None = None
    """Why it is not available, in a sentence."""
    written_payload_bytes: int = 0
    """Of the entries that this process handed in, before they were compressed."""
    written_stored_bytes: int = 0
    """The same entries as they were stored."""
    dropped: int = 0
    """Entries that were not kept: too large, or the queue was full."""


class Tier(Protocol):
    """Where entries outlive the process: SQLite rows or Redis.

    A damaged, foreign or expired entry is a miss. What cannot be reached raises; callers go on without it.
    """

    @property
    def name(self) -> str:
        """`sqlite` or `redis`."""
        ...

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Payloads in the order of `keys`; None where there is none.

        Raises:
            CacheFailed: the tier does not answer in its time.
        """
        ...

    async def set_many(self, entries: Sequence[Entry]) -> None:
        """Keep these; an entry that is there is replaced.

        Raises:
            CacheFailed: the tier does not answer in its time.
        """
        ...

    async def delete_many(self, keys: Sequence[str]) -> None:
        """Forget these.

        Raises:
            CacheFailed: the tier does not answer in its time.
        """
        ...

    async def clear(self, pattern: str = "*", collection: str | None = None) -> int:
        """Forget every entry whose key matches the glob `pattern` (and is of `collection`); how many went.

        Raises:
            CacheFailed: the tier does not answer in its time.
        """
        ...

    async def statistics(self) -> TierStatistics:
        """What it holds; says so instead of raising when it cannot be reached."""
        ...

    async def aclose(self) -> None:
        """Write what waits, close connections."""
        ...
