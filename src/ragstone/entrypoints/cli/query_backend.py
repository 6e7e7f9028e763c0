"""Where the commands about tracked questions and warming do their work; see `backend`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from ragstone.entrypoints.wire import Wire

ErasedKind = Literal["q", "client", "user", "all"]
Call = Callable[..., Awaitable["Wire"]]
"""`RemoteBackend`'s way to the server: method, path, and `query` or `body`."""


@dataclass(frozen=True, slots=True)
class PopularChoice:
    """Which popular questions to list."""

    limit: int
    days: int | None
    prefix: str | None
    text: str | None
    collection: str | None


class QueryCalls(Protocol):
    """What the commands need; every answer looks as on the wire of HTTP."""

    async def popular(self, wanted: PopularChoice) -> Wire:
        """The most asked questions."""
        ...

    async def complete(self, prefix: str, limit: int) -> Wire:
        """Questions that begin so."""
        ...

    async def similar(self, question: str, limit: int) -> Wire:
        """Questions like one."""
        ...

    async def statistics(self, days: int | None) -> Wire:
        """What was asked, by day."""
        ...

    async def erase(self, kind: ErasedKind, name: str) -> Wire:
        """Forget one question, what somebody asked, or all."""
        ...

    async def warm(self, top: int | None) -> Wire:
        """Warm the caches; answers at the end of the run."""
        ...

    async def trace(self, answer_id: str) -> Wire:
        """How an answer came about."""
        ...

    async def operation_times(self, is_reset: bool) -> Wire:
        """How long operations take; counted anew from here on when wanted."""
        ...


class RemoteQueries:
    """In the running server."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def popular(self, wanted: PopularChoice) -> Wire:
        """The most asked questions."""
        query = {
            "limit": str(wanted.limit),
            "days": None if wanted.days is None else str(wanted.days),
            "prefix": wanted.prefix,
            "q": wanted.text,
            "collection": wanted.collection,
        }
        return await self._call("GET", "/v1/queries/popular", query=query)

    async def complete(self, prefix: str, limit: int) -> Wire:
        """Questions that begin so."""
        query = {"q": prefix, "limit": str(limit)}
        return await self._call("GET", "/v1/queries/autocomplete", query=query)

    async def similar(self, question: str, limit: int) -> Wire:
        """Questions like one."""
        query = {"q": question, "limit": str(limit)}
        return await self._call("GET", "/v1/queries/similar", query=query)

    async def statistics(self, days: int | None) -> Wire:
        """What was asked, by day."""
        query = {"days": None if days is None else str(days)}
        return await self._call("GET", "/v1/queries/statistics", query=query)

    async def erase(self, kind: ErasedKind, name: str) -> Wire:
        """Forget one question, what somebody asked, or all."""
        return await self._call("DELETE", "/v1/queries", query={} if kind == "all" else {kind: name})

    async def warm(self, top: int | None) -> Wire:
        """Warm the server's caches."""
        return await self._call("POST", "/v1/cache/warm", body={"top": top, "wait": True})

    async def trace(self, answer_id: str) -> Wire:
        """How an answer came about."""
        return await self._call("GET", f"/v1/answers/{answer_id}/trace")

    async def operation_times(self, is_reset: bool) -> Wire:
        """How long the server's operations take; counted anew from here on when wanted."""
        return await self._call("DELETE" if is_reset else "GET", "/v1/metrics/summary")
