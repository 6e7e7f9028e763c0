"""What the log tells, on the wire."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import cast

from ragstone.analytics.clusters import QuestionGroup
from ragstone.analytics.import_log import ImportReport
from ragstone.analytics.reports import (
    FEATURES,
    Costs,
    Group,
    LogStatistics,
    NamedDocument,
    Patterns,
    Percentiles,
    Relevance,
)
from ragstone.entrypoints.wire import Wire
from ragstone.service.analytics import ErrorReport
from ragstone.store.query_log_reads import ErrorGroup, LoggedQuestion, Spending

FIRST_DAY = date(1970, 1, 1)
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
NUMBERS = ("id", "query_id", "hits_of")
"""Numbers beyond what JSON readers keep exact; they go as texts."""


def statistics(found: LogStatistics) -> Wire:
    """What was asked in a period, and how it went."""
    asked, succeeded = found.sum("asked"), found.sum("succeeded")
    return {
        "since": moment(found.range.since_ms),
        "until": moment(found.range.until_ms),
        "asked": asked,
        "succeeded": succeeded,
        "success_rate": _share(succeeded, asked),
        "answers": sum(one.asked for one in found.counts if one.kind == "ask"),
        "without_hits": found.sum("without_hits"),
        "low_relevance": found.sum("low_relevance"),
        "unanswered": found.sum("unanswered"),
        "degraded": found.sum("degraded"),
        "features": {
            "hybrid": found.sum("hybrid"),
            "reranked": found.sum("reranked"),
            "expanded": found.sum("expanded"),
            "expansions": found.sum("expansions"),
        },
        "prompt_tokens": found.sum("prompt_tokens"),
        "completion_tokens": found.sum("completion_tokens"),
        "cost": found.cost,
        "total_ms": percentiles(found.total_ms),
        "retrieval_ms": percentiles(found.retrieval_ms),
        "generation_ms": percentiles(found.generation_ms),
        **{f"by_{feature}": [_group(group) for group in found.by(feature)] for feature in FEATURES},
        "by_day": [
            {
                "date": day(int(group.value or 0)),
                "asked": group.asked,
                "succeeded": group.succeeded,
                "mean_ms": rounded(group.mean_ms),
            }
            for group in found.by("day")
        ],
    }


def percentiles(found: Percentiles) -> Wire:
    """Of so many values; null without any."""
    names = ("mean", "p50", "p95", "p99", "max")
    return {"count": found.count, **{name: rounded(getattr(found, name)) for name in names}}


def questions(found: Iterable[LoggedQuestion]) -> Wire:
    """Questions with what came of their askings."""
    return {
        "questions": [
            {
                "question": one.question,
                "question_hash": one.question_hash,
                "asked": one.asked,
                "first_asked_at": moment(one.first_ms),
                "last_asked_at": moment(one.last_ms),
                "mean_ms": rounded(one.mean_ms),
                "best_relevance": rounded(one.best_relevance),
                "error_code": one.error_code,
            }
            for one in found
        ]
    }


def documents(found: Iterable[NamedDocument]) -> Wire:
    """Documents by their use; one that is gone has no name."""
    return {
        "documents": [
            {
                "document_id": one.use.document_id,
                "title": one.title,
                "source": one.source,
                "collection": one.collection,
                "queries": one.use.queries,
                "accesses": one.use.accesses,
                "citations": one.use.citations,
                "mean_rank": rounded(one.use.mean_rank),
                "mean_score": rounded(one.use.mean_score),
                "last_accessed_at": moment(one.use.last_ms),
            }
            for one in found
        ]
    }


def relevance(found: Relevance) -> Wire:
    """Ten bins, and percentiles."""
    width = 1 / len(found.bins)
    return {
        "bins": [
            {"from": round(at * width, 1), "to": round((at + 1) * width, 1), "count": count}
            for at, count in enumerate(found.bins)
        ],
        "relevance": percentiles(found.percentiles),
        "low": found.low,
    }


def patterns(found: Patterns) -> Wire:
    """Words, hours and lengths."""
    return {
        "questions": found.different,
        "terms": [{"term": term, "asked": count} for term, count in found.terms],
        "hours": [
            {"weekday": WEEKDAYS[weekday], "hour": hour, "asked": count}
            for (weekday, hour), count in sorted(found.hours.items())
        ],
        "lengths": [{"max_words": bound, "asked": count} for bound, count in found.lengths],
        "mean_words": rounded(found.mean_words),
    }


def clusters(found: Iterable[QuestionGroup]) -> Wire:
    """Groups of questions that mean about the same."""
    return {
        "clusters": [
            {
                "asked": group.asked,
                "questions": [{"question": question, "asked": count} for question, count in group.members],
            }
            for group in found
        ]
    }


def costs(found: Costs) -> Wire:
    """Tokens and cost, by model and by day."""
    return {
        "by_model": [{"model": one.model, **_spending(one)} for one in found.by_model],
        "by_day": [{"date": day(one.day or 0), **_spending(one)} for one in found.by_day],
        "prompt_tokens": sum(one.prompt_tokens for one in found.by_model),
        "completion_tokens": sum(one.completion_tokens for one in found.by_model),
        "cost": _sum([one.cost for one in found.by_model]),
        "unpriced": sum(one.unpriced for one in found.by_model),
    }


def errors(found: ErrorReport) -> Wire:
    """Errors by kind, and the newest ones."""
    return {"groups": [_error_group(group) for group in found.groups], **rows("newest", found.newest)}


def rows(name: str, found: Iterable[Mapping[str, object]]) -> Wire:
    """Rows of a table, column by column."""
    return {name: [row(one) for one in found]}


def row(found: Mapping[str, object]) -> Wire:
    """One row: its time readable, its numbers exact."""
    shown: Wire = {"time": moment(cast("int", found["at_ms"]))}
    for name, value in found.items():
        if name in NUMBERS and value is not None:
            shown[name] = str(value)
        elif name not in ("at_ms", "tenant_id", "audience"):
            shown[name] = rounded(value) if isinstance(value, float) else value
    return shown


def imported(report: ImportReport) -> Wire:
    """What became of an import."""
    return {
        "is_dry_run": report.is_dry_run,
        "read": report.read,
        "added": report.added,
        "known": report.known,
        "refused": [
            {"reason": reason, "count": count, "lines": report.examples[reason]}
            for reason, count in report.refused.most_common()
        ],
    }


def moment(at_ms: int) -> str:
    """A time, readable."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")


def day(number: int) -> str:
    """A day by its number since 1970."""
    return (FIRST_DAY + timedelta(days=number)).isoformat()


def rounded(value: float | None) -> float | None:
    """To four digits behind the point."""
    return None if value is None else round(value, 4)


def _group(group: Group) -> Wire:
    return {
        "value": group.value,
        "asked": group.asked,
        "success_rate": _share(group.succeeded, group.asked),
        "mean_ms": rounded(group.mean_ms),
    }


def _error_group(group: ErrorGroup) -> Wire:
    return {
        "type": group.type,
        "code": group.code,
        "service": group.service,
        "severity": group.severity,
        "count": group.count,
        "last_at": moment(group.last_ms),
        "message": group.message,
    }


def _spending(one: Spending) -> Wire:
    return {
        "generations": one.generations,
        "prompt_tokens": one.prompt_tokens,
        "completion_tokens": one.completion_tokens,
        "cost": one.cost,
        "unpriced": one.unpriced,
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
