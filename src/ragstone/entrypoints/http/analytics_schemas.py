"""What requests about the log may say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import Query
from pydantic import Field

from ragstone.analytics.export import ExportFormat
from ragstone.entrypoints.http.schemas import RequestModel
from ragstone.store.log_choice import Period, QuestionKind, RowFilter


class PeriodQuery(RequestModel):
    """Of which time."""

    days: int = Field(7, ge=1, le=3660, description="The last days, where `since` is left out.")
    since: datetime | None = Field(None, description="From this time on; UTC where it names no zone.")
    until: datetime | None = Field(None, description="Before this time; now when left out.")

    @property
    def period(self) -> Period:
        """In milliseconds."""
        return Period(_ms(self.since), _ms(self.until), self.days)


class ListQuery(PeriodQuery):
    """Of which time, and how many."""

    limit: int = Field(20, ge=1, le=1000, description="How many at most.")


class QuestionsQuery(ListQuery):
    """Which questions."""

    kind: QuestionKind = Field(
        "all", description="Which: without_hits, low_relevance, unanswered, failed, slow, degraded, or all."
    )


class RowsQuery(ListQuery):
    """Which rows of requests."""

    client: str | None = Field(None, description="Of this client.")
    user: str | None = Field(None, description="Of this user.")
    door: str | None = Field(None, description="That came through this door: http, mcp, cli, python, import.")
    cache: str | None = Field(None, description="Answered from there: hit, evidence, semantic, miss, off.")
    success: bool | None = Field(None, description="Answered, or failed.")
    request_id: str | None = Field(None, description="The request of this id.")

    @property
    def chosen(self) -> RowFilter:
        """As the service takes it."""
        return RowFilter(
            client=self.client,
            user=self.user,
            door=self.door,
            cache=self.cache,
            is_success=self.success,
            request_id=self.request_id,
        )


class ErrorsQuery(ListQuery):
    """Which errors."""

    type: str | None = Field(None, description="Of this class.")
    service: str | None = Field(None, description="Of this door, or `worker`, `sync` or `warming`.")
    severity: Literal["warning", "error", "critical"] | None = Field(None, description="Of this severity.")

    @property
    def chosen(self) -> RowFilter:
        """As the service takes it."""
        return RowFilter(type=self.type, service=self.service, severity=self.severity)


def _ms(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1000)


class ExportQuery(PeriodQuery):
    """Of which time; all when nothing is said."""

    days: int = Field(3660, ge=1, le=3660, description="The last days, where `since` is left out.")
    format: ExportFormat = Field("csv", description="csv, jsonl or parquet.")


OfPeriod = Annotated[PeriodQuery, Query()]
OfList = Annotated[ListQuery, Query()]
