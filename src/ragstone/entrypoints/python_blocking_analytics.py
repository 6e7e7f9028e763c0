"""What the log tells, for code without asyncio."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from ragstone.entrypoints.python_analytics import EVER_DAYS, AsyncAnalytics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ragstone.analytics.clusters import QuestionGroup
    from ragstone.analytics.export import ExportFormat, ExportTable
    from ragstone.analytics.import_log import ImportFormat, ImportReport
    from ragstone.analytics.reports import Costs, LogStatistics, NamedDocument, Patterns, Relevance
    from ragstone.service.analytics import ErrorReport
    from ragstone.store.log_choice import QuestionKind
    from ragstone.store.query_log_reads import LoggedQuestion

T = TypeVar("T")


class Run(Protocol):
    """Runs a coroutine function to its end."""

    def __call__(self, work: Callable[[], Awaitable[T]], /) -> T:
        """What it returns."""
        ...


class BlockingAnalytics:
    """See `AsyncAnalytics`; the same methods, blocking."""

    def __init__(self, inner: AsyncAnalytics, run: Run) -> None:
        self._inner = inner
        self._run = run

    def statistics(
        self, days: int = 7, *, since: datetime | None = None, until: datetime | None = None
    ) -> LogStatistics:
        """See `AsyncAnalytics.statistics`."""
        return self._run(partial(self._inner.statistics, days, since=since, until=until))

    def questions(
        self, kind: QuestionKind = "all", days: int = 7, *, limit: int = 20
    ) -> list[LoggedQuestion]:
        """See `AsyncAnalytics.questions`."""
        return self._run(partial(self._inner.questions, kind, days, limit=limit))

    def documents(self, days: int = 7, *, limit: int = 20) -> list[NamedDocument]:
        """See `AsyncAnalytics.documents`."""
        return self._run(partial(self._inner.documents, days, limit=limit))

    def relevance(self, days: int = 7) -> Relevance:
        """See `AsyncAnalytics.relevance`."""
        return self._run(partial(self._inner.relevance, days))

    def patterns(self, days: int = 7, *, limit: int = 20) -> Patterns:
        """See `AsyncAnalytics.patterns`."""
        return self._run(partial(self._inner.patterns, days, limit=limit))

    def clusters(self, days: int = 7, *, limit: int = 20) -> list[QuestionGroup]:
        """See `AsyncAnalytics.clusters`."""
        return self._run(partial(self._inner.clusters, days, limit=limit))

    def costs(self, days: int = 30, *, since: datetime | None = None, until: datetime | None = None) -> Costs:
        """See `AsyncAnalytics.costs`."""
        return self._run(partial(self._inner.costs, days, since=since, until=until))

    def errors(self, days: int = 7, *, limit: int = 20) -> ErrorReport:
        """See `AsyncAnalytics.errors`."""
        return self._run(partial(self._inner.errors, days, limit=limit))

    def export(
        self, table: ExportTable, path: Path | str, form: ExportFormat = "csv", *, days: int = EVER_DAYS
    ) -> int:
        """See `AsyncAnalytics.export`."""
        return self._run(partial(self._inner.export, table, path, form, days=days))

    def import_log(
        self,
        path: Path | str,
        form: ImportFormat = "jsonl",
        *,
        mapping: Mapping[str, str] | None = None,
        is_dry_run: bool = False,
    ) -> ImportReport:
        """See `AsyncAnalytics.import_log`."""
        return self._run(partial(self._inner.import_log, path, form, mapping=mapping, is_dry_run=is_dry_run))

    def erase_asker(self, *, client: str | None = None, user: str | None = None) -> int:
        """See `AsyncAnalytics.erase_asker`."""
        return self._run(partial(self._inner.erase_asker, client=client, user=user))
