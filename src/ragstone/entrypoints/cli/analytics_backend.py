"""Where the commands about the log do their work; see `backend`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ragstone.store.log_choice import ANY_ROW

if TYPE_CHECKING:
    import httpx2

    from ragstone.analytics.export import ExportFormat, ExportTable
    from ragstone.analytics.import_log import ImportFormat
    from ragstone.entrypoints.wire import Wire
    from ragstone.store.log_choice import Period, QuestionKind, RowFilter

Call = Callable[..., Awaitable["Wire"]]
Params = dict[str, str | None]


@dataclass(frozen=True, slots=True)
class ReportChoice:
    """Which report, of what."""

    name: str
    period: Period
    since: str | None
    until: str | None
    limit: int = 20
    kind: QuestionKind = "all"
    chosen: RowFilter = ANY_ROW

    def query(self) -> Params:
        """As the server is asked for it."""
        wanted: Params = {"days": str(self.period.days), "since": self.since, "until": self.until}
        if self.name not in UNLIMITED:
            wanted["limit"] = str(self.limit)
        if self.name == "questions":
            wanted["kind"] = self.kind
        success = self.chosen.is_success
        wanted |= {
            "client": self.chosen.client,
            "user": self.chosen.user,
            "door": self.chosen.door,
            "cache": self.chosen.cache,
            "success": None if success is None else str(success).lower(),
            "type": self.chosen.type,
            "service": self.chosen.service,
            "severity": self.chosen.severity,
        }
        return wanted


UNLIMITED = ("statistics", "relevance", "costs")


@dataclass(frozen=True, slots=True)
class ExportChoice:
    """Which table, of which time, how."""

    table: ExportTable
    form: ExportFormat
    period: Period
    since: str | None
    until: str | None


@dataclass(frozen=True, slots=True)
class ImportChoice:
    """Which file, and how to read it."""

    path: Path
    form: ImportFormat
    mapping: Mapping[str, str]
    is_dry_run: bool


class AnalyticsCalls(Protocol):
    """What the commands need; every answer looks as on the wire of HTTP."""

    async def report(self, wanted: ReportChoice) -> Wire:
        """A report by its name."""
        ...

    def export(self, wanted: ExportChoice) -> AsyncGenerator[bytes, None]:
        """The bytes of a table."""
        ...

    async def import_log(self, wanted: ImportChoice) -> Wire:
        """Take a file in."""
        ...


class RemoteAnalytics:
    """In the running server."""

    def __init__(self, client: httpx2.AsyncClient, call: Call) -> None:
        self._client = client
        self._call = call

    async def report(self, wanted: ReportChoice) -> Wire:
        """A report by its name."""
        return await self._call("GET", f"/v1/analytics/{wanted.name}", query=wanted.query())

    async def export(self, wanted: ExportChoice) -> AsyncGenerator[bytes, None]:
        """The bytes of a table."""
        query = {"format": wanted.form, "days": str(wanted.period.days)}
        given = {**query, "since": wanted.since, "until": wanted.until}
        params = {name: value for name, value in given.items() if value is not None}
        path = f"/v1/analytics/export/{wanted.table}"
        async with self._client.stream("GET", path, params=params) as response:
            await raise_problem(response)
            async for piece in response.aiter_bytes():
                yield piece

    async def import_log(self, wanted: ImportChoice) -> Wire:
        """Take a file in."""
        import json

        query = {
            "format": wanted.form,
            "dry_run": str(wanted.is_dry_run).lower(),
            "mapping": json.dumps(dict(wanted.mapping)) if wanted.mapping else None,
        }
        with wanted.path.open("rb") as file:
            return await self._call("POST", "/v1/analytics/import", query=query, content=_pieces(file.read))


async def _pieces(read: Callable[[int], bytes]) -> AsyncGenerator[bytes, None]:
    while piece := read(65_536):
        yield piece


async def raise_problem(response: httpx2.Response) -> None:
    """Raise what the server said, if it is no success."""
    from ragstone.entrypoints.cli.remote import problem_of

    if response.is_error:
        await response.aread()
        raise problem_of(response)
