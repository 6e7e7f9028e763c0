"""What the log tells, in the Python door."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import anyio

from ragstone.service.log_transfer import ImportRequest
from ragstone.store.log_choice import Period

if TYPE_CHECKING:
    from ragstone.analytics.clusters import QuestionGroup
    from ragstone.analytics.export import ExportFormat, ExportTable
    from ragstone.analytics.import_log import ImportFormat, ImportReport
    from ragstone.analytics.reports import Costs, LogStatistics, NamedDocument, Patterns, Relevance
    from ragstone.runtime.engine import Engine
    from ragstone.service.analytics import ErrorReport
    from ragstone.store.log_choice import QuestionKind
    from ragstone.store.query_log_reads import LoggedQuestion

EVER_DAYS = 3_660


class AsyncAnalytics:
    """Reports over the log; `days` back from now, or from `since` until `until`.

    What is asked is found some two seconds later. Every method raises `InvalidRequest` for a value out of
    range and `StoreFailed` when the log does not answer.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def statistics(
        self, days: int = 7, *, since: datetime | None = None, until: datetime | None = None
    ) -> LogStatistics:
        """What was asked, how it went, how long it took."""
        return await self._engine.analytics.statistics(_period(days, since, until))

    async def questions(
        self, kind: QuestionKind = "all", days: int = 7, *, limit: int = 20
    ) -> list[LoggedQuestion]:
        """Questions by what came of them, most asked first: `without_hits`, `unanswered`, `failed`, ..."""
        return await self._engine.analytics.questions(kind, Period(days=days), limit)

    async def documents(self, days: int = 7, *, limit: int = 20) -> list[NamedDocument]:
        """Documents by how many requests found them."""
        return await self._engine.analytics.documents(Period(days=days), limit)

    async def relevance(self, days: int = 7) -> Relevance:
        """How well the best hits of questions fit."""
        return await self._engine.analytics.relevance(Period(days=days))

    async def patterns(self, days: int = 7, *, limit: int = 20) -> Patterns:
        """The words, hours and lengths of questions."""
        return await self._engine.analytics.patterns(Period(days=days), limit)

    async def clusters(self, days: int = 7, *, limit: int = 20) -> list[QuestionGroup]:
        """Groups of questions that mean about the same."""
        return await self._engine.analytics.clusters(Period(days=days), limit)

    async def costs(
        self, days: int = 30, *, since: datetime | None = None, until: datetime | None = None
    ) -> Costs:
        """Tokens that were spent and what they cost."""
        return await self._engine.analytics.costs(_period(days, since, until))

    async def errors(self, days: int = 7, *, limit: int = 20) -> ErrorReport:
        """What went wrong."""
        return await self._engine.analytics.errors(Period(days=days), limit=limit)

    async def export(
        self, table: ExportTable, path: Path | str, form: ExportFormat = "csv", *, days: int = EVER_DAYS
    ) -> int:
        """Write a table of the log to a file; how many bytes.

        Raises:
            NotReady: Parquet without the extra that writes it.
        """
        written = 0
        pieces: AsyncGenerator[bytes, None] = self._engine.transfer.export(table, form, Period(days=days))
        async with await anyio.open_file(path, "wb") as file, aclosing(pieces):
            async for piece in pieces:
                written += await file.write(piece)
        return written

    async def import_log(
        self,
        path: Path | str,
        form: ImportFormat = "jsonl",
        *,
        mapping: Mapping[str, str] | None = None,
        is_dry_run: bool = False,
    ) -> ImportReport:
        """Take in the query log of another system; `mapping` is our field to their column."""
        asked = ImportRequest(form, mapping or {}, is_dry_run)
        with open_lines(Path(path)) as lines:
            return await self._engine.transfer.import_log(lines, asked)

    async def erase_asker(self, *, client: str | None = None, user: str | None = None) -> int:
        """Forget what a client or a user asked; how many rows of the log went."""
        if client is not None:
            return (await self._engine.queries.erase_asker("client", client)).logged
        return (await self._engine.queries.erase_asker("user", user or "")).logged


def open_lines(path: Path) -> TextIO:
    """A file to import; bytes that are no UTF-8 are replaced."""
    return path.open(encoding="utf-8", errors="replace", newline="")


def _period(days: int, since: datetime | None, until: datetime | None) -> Period:
    return Period(_ms(since), _ms(until), days)


def _ms(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
