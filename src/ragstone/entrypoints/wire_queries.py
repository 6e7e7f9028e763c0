"""Tracked questions and warming on the wire."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from ragstone.analytics.erase import Erased
from ragstone.analytics.similar import SimilarQuery
from ragstone.entrypoints.wire import Wire
from ragstone.operate.warm import WarmingRun, WarmingStatus
from ragstone.service.queries import QueryStatistics
from ragstone.store.query_reads import DayTotals, TrackedQuery

FIRST_DAY = date(1970, 1, 1)
DIGITS = 4


def popular(found: Iterable[TrackedQuery], days: int | None) -> Wire:
    """The most asked questions, most asked first."""
    return {
        "days": days,
        "queries": [
            {
                "query": one.question,
                "count": one.count,
                "first_asked_at": _time(one.first_ms),
                "last_asked_at": _time(one.last_ms),
                "collections": list(one.collections),
            }
            for one in found
        ],
    }


def completions(found: Iterable[TrackedQuery]) -> Wire:
    """Questions that begin so, most asked first."""
    return {"completions": [{"query": one.question, "count": one.count} for one in found]}


def similar(found: Iterable[SimilarQuery]) -> Wire:
    """Questions like one, the most similar first."""
    return {
        "queries": [
            {
                "query": one.query.question,
                "similarity": round(one.similarity, DIGITS),
                "count": one.query.count,
            }
            for one in found
        ]
    }


def statistics(found: QueryStatistics) -> Wire:
    """What was asked, in all and by day."""
    return {
        "days": found.days,
        "tracked": found.tracked,
        "asked": sum(day.asked for day in found.by_day),
        "answers": sum(day.answers for day in found.by_day),
        "without_hits": sum(day.without_hits for day in found.by_day),
        "by_day": [_day(day) for day in found.by_day],
    }


def erased(result: Erased) -> Wire:
    """What an erasure took away."""
    return {"erased": result.count, "logged": result.logged, "is_log_empty": result.is_log_empty}


def warming(status: WarmingStatus) -> Wire:
    """What warming does and has done since the process began."""
    return {
        "is_running": status.is_running,
        "current": None if status.current is None else warming_run(status.current),
        "last": None if status.last is None else warming_run(status.last),
        "run_count": status.run_count,
        "warmed_count": status.warmed_count,
        "next_run_at": status.next_run_at,
        "prefetch": {
            "is_on": status.prefetch.is_on,
            "warmed": status.prefetch.warmed,
            "used": status.prefetch.used,
            "known": status.prefetch.known,
            "failed": status.prefetch.failed,
            "skipped": status.prefetch.skipped,
            "late": status.prefetch.late,
        },
    }


def warming_run(run: WarmingRun) -> Wire:
    """How a warming went, or how far it is."""
    return {
        "reason": run.reason,
        "state": run.state,
        "planned": run.planned,
        "warmed": run.warmed,
        "failed": run.failed,
        "skipped": run.skipped,
        "waited_s": run.waited_s,
        "duration_s": run.duration_s,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
    }


def _day(totals: DayTotals) -> Wire:
    return {
        "date": (FIRST_DAY + timedelta(days=totals.day)).isoformat(),
        "asked": totals.asked,
        "distinct": totals.distinct_count,
        "answers": totals.answers,
        "without_hits": totals.without_hits,
    }


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
