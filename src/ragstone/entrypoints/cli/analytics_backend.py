"""Where the commands about the log do their work; see `backend`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ragstone.analytics.export import ExportFormat, ExportTable
from ragstone.analytics.import_log import ImportFormat
from ragstone.entrypoints import wire_analytics
from ragstone.entrypoints.python_analytics import open_lines
from ragstone.service.analytics import ANY_ROW, Period
from ragstone.service.log_transfer import ImportRequest
from ragstone.store.query_log_reads import QuestionKind, RowFilter

if TYPE_CHECKING:
    import httpx2

    from ragstone.entrypoints.wire import Wire
    from ragstone.runtime import Engine

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


Report = Callable[["Engine", ReportChoice], Awaitable["Wire"]]


async def _statistics(engine: Engine, wanted: ReportChoice) -> Wire:
    return wire_analytics.statistics(await engine.analytics.statistics(wanted.period))


async def _questions(engine: Engine, wanted: ReportChoice) -> Wire:
    found = await engine.analytics.questions(wanted.kind, wanted.period, wanted.limit)
    return wire_analytics.questions(found)


async def _documents(engine: Engine, wanted: ReportChoice) -> Wire:
    return wire_analytics.documents(await engine.analytics.documents(wanted.period, wanted.limit))


async def _relevance(engine: Engine, wanted: ReportChoice) -> Wire:
    return wire_analytics.relevance(await engine.analytics.relevance(wanted.period))


async def _patterns(engine: Engine, wanted: ReportChoice) -> Wire:
    return wire_analytics.patterns(await engine.analytics.patterns(wanted.period, wanted.limit))


async def _clusters(engine: Engine, wanted: ReportChoice) -> Wire:
    return wire_analytics.clusters(await engine.analytics.clusters(wanted.period, wanted.limit))


async def _costs(engine: Engine, wanted: ReportChoice) -> Wire:
    return wire_analytics.costs(await engine.analytics.costs(wanted.period))


async def _errors(engine: Engine, wanted: ReportChoice) -> Wire:
    found = await engine.analytics.errors(wanted.period, wanted.chosen, wanted.limit)
    return wire_analytics.errors(found)


async def _requests(engine: Engine, wanted: ReportChoice) -> Wire:
    found = await engine.analytics.rows("query_logs", wanted.period, wanted.chosen, wanted.limit)
    return wire_analytics.rows("requests", found)


async def _system(engine: Engine, wanted: ReportChoice) -> Wire:
    found = await engine.analytics.rows("system_metrics", wanted.period, limit=wanted.limit)
    return wire_analytics.rows("system", found)


REPORTS: Mapping[str, Report] = {
    "statistics": _statistics,
    "questions": _questions,
    "documents": _documents,
    "relevance": _relevance,
    "patterns": _patterns,
    "clusters": _clusters,
    "costs": _costs,
    "errors": _errors,
    "requests": _requests,
    "system": _system,
}


class LocalAnalytics:
    """In this process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def report(self, wanted: ReportChoice) -> Wire:
        """A report by its name."""
        return await REPORTS[wanted.name](self._engine, wanted)

    async def export(self, wanted: ExportChoice) -> AsyncGenerator[bytes, None]:
        """The bytes of a table."""
        pieces = self._engine.transfer.export(wanted.table, wanted.form, wanted.period)
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece

    async def import_log(self, wanted: ImportChoice) -> Wire:
        """Take a file in."""
        asked = ImportRequest(wanted.form, wanted.mapping, wanted.is_dry_run)
        with open_lines(wanted.path) as lines:
            return wire_analytics.imported(await self._engine.transfer.import_log(lines, asked))


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
