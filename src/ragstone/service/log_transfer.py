"""Taking the log out, as files, and the logs of other systems in."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from anyio import to_thread

from ragstone.analytics.asked import present_ms
from ragstone.analytics.export import ExportFormat, ExportRequest, ExportTable, export_rows
from ragstone.analytics.import_log import (
    ImportFormat,
    ImportReport,
    ImportRules,
    check_mapping,
    rows_of,
)
from ragstone.search.understand import normalise_query
from ragstone.service.analytics import range_of
from ragstone.store.log_choice import Period
from ragstone.store.log_pages import known_rows
from ragstone.store.queries import audience_of
from ragstone.store.query_log import QueryRow, add_queries
from ragstone.store.query_log_reads import DAY_MS
from ragstone.types import LOCAL_OWNER, Principal

if TYPE_CHECKING:
    from ragstone.settings import Settings
    from ragstone.store.database import Database
    from ragstone.store.log_file import LogFile

EVER = Period(0)
IMPORTED_AT_ONCE = 500
SHORTLY_MS = 60_000
"""What clocks of two machines may differ by."""


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """How to read the log of another system."""

    format: ImportFormat
    mapping: Mapping[str, str]
    is_dry_run: bool = False


class LogTransfer:
    """Exports and imports of the log."""

    def __init__(self, file: LogFile, database: Database, settings: Settings) -> None:
        self._file = file
        self._database = database
        self._settings = settings

    def export(
        self,
        table: ExportTable,
        form: ExportFormat,
        period: Period = EVER,
        principal: Principal = LOCAL_OWNER,
    ) -> AsyncGenerator[bytes, None]:
        """A table as the bytes of a file, oldest row first.

        Raises:
            InvalidRequest: the period is empty.
            NotReady: Parquet without the extra that writes it.
        """
        wanted = range_of(period, principal)
        return export_rows(self._file, self._database, ExportRequest(table, form, wanted, principal))

    async def import_log(
        self, lines: Iterable[str], asked: ImportRequest, principal: Principal = LOCAL_OWNER
    ) -> ImportReport:
        """Take the query log of another system in; a line that is there already is counted, not added.

        Raises:
            InvalidRequest: the mapping names a field that there is not.
            StoreFailed: the log does not take it; what was counted as added is there.
        """
        check_mapping(asked.mapping)
        report = ImportReport(asked.is_dry_run)
        found = rows_of(lines, asked.format, self._import_rules(asked, principal), report)
        while batch := await to_thread.run_sync(lambda: list(islice(found, IMPORTED_AT_ONCE))):
            added = await self._imported(batch, is_dry_run=asked.is_dry_run)
            report.added += added
            report.known += len(batch) - added
        return report

    def _import_rules(self, asked: ImportRequest, principal: Principal) -> ImportRules:
        configured, present = self._settings.analytics, present_ms()
        longest = self._settings.limits.query_max_chars
        return ImportRules(
            tenant_id=principal.tenant_id,
            audience=audience_of(principal),
            normalise=lambda text: normalise_query(text, longest),
            is_text_stored=configured.store_text,
            earliest_ms=present - configured.retention_days * DAY_MS,
            latest_ms=present + SHORTLY_MS,
            mapping=asked.mapping,
        )

    async def _imported(self, batch: list[QueryRow], *, is_dry_run: bool) -> int:
        """How many of the rows were new."""
        if is_dry_run:
            ids = {row.id for row in batch}
            return len(ids) - await self._file.read(lambda connection: known_rows(connection, ids))
        return await self._file.write(lambda connection: add_queries(connection, batch))
