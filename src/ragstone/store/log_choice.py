"""Which rows of the log are wanted: apart from what reads them, for who asks a server to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

QuestionKind = Literal["all", "without_hits", "low_relevance", "unanswered", "failed", "slow", "degraded"]


@dataclass(frozen=True, slots=True)
class Period:
    """`[since_ms, until_ms)`; the last `days` where no beginning is given, until now where no end is."""

    since_ms: int | None = None
    until_ms: int | None = None
    days: int = 7


@dataclass(frozen=True, slots=True)
class RowFilter:
    """Which rows of a table are listed; None is any."""

    client: str | None = None
    user: str | None = None
    door: str | None = None
    cache: str | None = None
    is_success: bool | None = None
    document_id: str | None = None
    request_id: str | None = None
    type: str | None = None
    service: str | None = None
    severity: str | None = None


LAST_WEEK = Period()
ANY_ROW = RowFilter()
