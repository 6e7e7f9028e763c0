"""One panel of a dashboard as data, and as Grafana's JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from scripts.monitoring.promql import quantile, rate, total

from ragstone.telemetry.families import Family

Json = dict[str, object]
Unit = Literal["short", "s", "bytes", "percentunit", "reqps", "dateTimeFromNow"]
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24
"""Columns of Grafana's grid."""


@dataclass(frozen=True, slots=True)
class Query:
    """One line of a panel; `legend` names labels as `{{route}}`."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """What is shown together; `about` says what it means and what to do about it."""

    title: str
    queries: tuple[Query, ...]
    unit: Unit = "short"
    about: str = ""
    kind: Literal["timeseries", "stat"] = "timeseries"
    width: int = 12
    height: int = 8

    def json(self, number: int, x: int, y: int) -> Json:
        """As Grafana reads it, at a place of its grid."""
        targets = [
            {
                "refId": chr(ord("A") + at),
                "expr": query.expr,
                "legendFormat": query.legend,
                "datasource": SOURCE,
            }
            for at, query in enumerate(self.queries)
        ]
        defaults: Json = {"unit": self.unit, "min": 0}
        if self.unit == "percentunit":
            defaults["max"] = 1
        options: Json = {
            "tooltip": {"mode": "multi"},
            "legend": {"displayMode": "list", "placement": "bottom"},
        }
        if self.kind == "stat":
            options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"}
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.about,
            "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "fieldConfig": {"defaults": defaults, "overrides": []},
            "options": options,
            "targets": targets,
        }


def stat(title: str, expr: str, unit: Unit = "short", about: str = "") -> Panel:
    """One number."""
    return Panel(title, (Query(expr, title),), unit, about, "stat", width=4, height=4)


def latency(title: str, family: Family, *matchers: str, by: tuple[str, ...] = (), about: str = "") -> Panel:
    """The median and the 95th and 99th percentile of a duration."""
    name = " ".join(f"{{{{{label}}}}}" for label in by)
    queries = tuple(
        Query(quantile(share, family, *matchers, by=by), f"p{share * 100:g} {name}".strip())
        for share in (0.5, 0.95, 0.99)
    )
    return Panel(title, queries, "s", about or family.help)


def plain(family: Family) -> Panel:
    """The panel of a family that has none made by hand."""
    by = family.labels
    legend = " ".join(f"{{{{{label}}}}}" for label in by) or family.name.removeprefix("ragstone_")
    title = family.name.removeprefix("ragstone_").replace("_", " ")
    if family.kind == "histogram":
        unit: Unit = "s" if family.unit == "seconds" else "short"
        median, high = quantile(0.5, family, by=by), quantile(0.95, family, by=by)
        queries = (Query(median, f"p50 {legend}"), Query(high, f"p95 {legend}"))
        return Panel(title, queries, unit, family.help)
    if family.kind == "counter":
        return Panel(f"{title} per second", (Query(rate(family, by=by), legend),), "short", family.help)
    unit = {"seconds": "s", "bytes": "bytes"}.get(family.unit, "short")  # type: ignore[assignment]
    return Panel(title, (Query(total(family, by=by), legend),), unit, family.help)
