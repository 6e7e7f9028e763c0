"""Reports, exports and imports of the log in this process."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING

from ragstone.entrypoints import wire_analytics
from ragstone.entrypoints.python_analytics import open_lines
from ragstone.service.log_transfer import ImportRequest

if TYPE_CHECKING:
    from ragstone.entrypoints.cli.analytics_backend import ExportChoice, ImportChoice, ReportChoice
    from ragstone.entrypoints.wire import Wire
    from ragstone.service.analytics import AnalyticsService
    from ragstone.service.log_transfer import LogTransfer

Report = Callable[["AnalyticsService", "ReportChoice"], Awaitable["Wire"]]


async def _statistics(service: AnalyticsService, wanted: ReportChoice) -> Wire:
    return wire_analytics.statistics(await service.statistics(wanted.period))


async def _questions(service: AnalyticsService, wanted: ReportChoice) -> Wire:
    found = await service.questions(wanted.kind, wanted.period, wanted.limit)
    return wire_analytics.questions(found)


async def _documents(service: AnalyticsService, wanted: ReportChoice) -> Wire:
    return wire_analytics.documents(await service.documents(wanted.period, wanted.limit))


async def _relevance(service: AnalyticsService, wanted: ReportChoice) -> Wire:
    return wire_analytics.relevance(await service.relevance(wanted.period))


async def _patterns(service: AnalyticsService, wanted: ReportChoice) -> Wire:
    return wire_analytics.patterns(await service.patterns(wanted.period, wanted.limit))


async def _clusters(service: AnalyticsService, wanted: ReportChoice) -> Wire:
    return wire_analytics.clusters(await service.clusters(wanted.period, wanted.limit))


async def _costs(service: AnalyticsService, wanted: ReportChoice) -> Wire:
    return wire_analytics.costs(await service.costs(wanted.period))


async def _errors(service: AnalyticsService, wanted: ReportChoice) -> Wire:
    found = await service.errors(wanted.period, wanted.chosen, wanted.limit)
    return wire_analytics.errors(found)


async def _requests(service: AnalyticsService, wanted: ReportChoice) -> Wire:
    found = await service.rows("query_logs", wanted.period, wanted.chosen, wanted.limit)
    return wire_analytics.rows("requests", found)


async def _system(service: AnalyticsService, wanted: ReportChoice) -> Wire:
    found = await service.rows("system_metrics", wanted.period, limit=wanted.limit)
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

    def __init__(self, service: AnalyticsService, transfer: LogTransfer) -> None:
        self._service = service
        self._transfer = transfer

    async def report(self, wanted: ReportChoice) -> Wire:
        """A report by its name."""
        return await REPORTS[wanted.name](self._service, wanted)

    async def export(self, wanted: ExportChoice) -> AsyncGenerator[bytes, None]:
        """The bytes of a table."""
        pieces = self._transfer.export(wanted.table, wanted.form, wanted.period)
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece

    async def import_log(self, wanted: ImportChoice) -> Wire:
        """Take a file in."""
        asked = ImportRequest(wanted.form, wanted.mapping, wanted.is_dry_run)
        with open_lines(wanted.path) as lines:
            return wire_analytics.imported(await self._transfer.import_log(lines, asked))
