"""Times of operations on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from ragstone.entrypoints.wire import Wire

if TYPE_CHECKING:
    from ragstone.telemetry.percentiles import Figures, Summary

DIGITS = 3


def summary(found: Summary) -> Wire:
    """Counts and percentiles since the last reset; operations in milliseconds."""
    return {
        "uptime_s": round(found.uptime_s, DIGITS),
        "since_s": round(found.since_s, DIGITS),
        "operations": _figures(found.operations),
        "custom": _figures(found.custom),
        "errors": dict(found.errors),
        "dropped": found.dropped,
    }


def _figures(by_name: Mapping[str, Figures]) -> Wire:
    return {
        name: {key: round(value, DIGITS) for key, value in asdict(figures).items()}
        for name, figures in by_name.items()
    }
