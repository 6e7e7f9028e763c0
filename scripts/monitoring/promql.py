"""Queries in PromQL, put together from declared families: a name that is not declared cannot be asked for."""

from __future__ import annotations

from ragstone.telemetry.families import Family

SELECTED = 'job="$job",instance=~"$instance"'
"""What the variables of a dashboard choose; rules look at every server."""


def series(family: Family, *matchers: str, is_selected: bool = True) -> str:
    """The family's main series with label matchers, such as `status=~"5.."`."""
    return _chosen(family.series, matchers, is_selected=is_selected)


def rate(
    family: Family,
    *matchers: str,
    by: tuple[str, ...] = (),
    window: str = "$__rate_interval",
    is_selected: bool = True,
) -> str:
    """How often per second a counter or a histogram moved, summed by labels."""
    what = f"rate({series(family, *matchers, is_selected=is_selected)}[{window}])"
    return f"sum{_grouped(by)}({what})"


def quantile(
    share: float,
    family: Family,
    *matchers: str,
    by: tuple[str, ...] = (),
    window: str = "$__rate_interval",
    is_selected: bool = True,
) -> str:
    """A quantile of a histogram, by labels."""
    if family.kind != "histogram":
        raise ValueError(f"{family.name} is a {family.kind}, and has no quantiles")
    buckets = _chosen(f"{family.name}_bucket", matchers, is_selected=is_selected)
    groups = ", ".join(("le", *by))
    return f"histogram_quantile({share:g}, sum by ({groups}) (rate({buckets}[{window}])))"


def total(family: Family, *matchers: str, by: tuple[str, ...] = (), is_selected: bool = True) -> str:
    """A gauge, summed by labels."""
    return f"sum{_grouped(by)}({series(family, *matchers, is_selected=is_selected)})"


def largest(family: Family, *matchers: str, by: tuple[str, ...] = (), is_selected: bool = True) -> str:
    """A gauge's largest value, by labels: for what every server tells of the same database."""
    return f"max{_grouped(by)}({series(family, *matchers, is_selected=is_selected)})"


def share(part: str, whole: str) -> str:
    """Part of a whole, 0 to 1; nothing where the whole is nothing."""
    return f"{part} / ({whole} > 0)"


def _chosen(name: str, matchers: tuple[str, ...], *, is_selected: bool) -> str:
    chosen = ",".join((*((SELECTED,) if is_selected else ()), *matchers))
    return f"{name}{{{chosen}}}" if chosen else name


def _grouped(by: tuple[str, ...]) -> str:
    return f" by ({', '.join(by)}) " if by else ""
