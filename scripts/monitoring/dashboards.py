"""The dashboards: panels made by hand for what is looked at first, plain ones for all else of an area."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scripts.monitoring.panels import WIDTH, Json, Panel, Query, Unit, latency, plain, stat
from scripts.monitoring.promql import largest, quantile, rate, series, share, total

from ragstone.telemetry import families as f
from ragstone.telemetry.families import FAMILIES, Area

NAME = re.compile(r"ragstone_\w+")
FAILED = 'status=~"5.."'
FOUND = 'found!="miss"'


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A page; what of its areas no dashboard shows by hand gets a plain panel at its end."""

    uid: str
    title: str
    panels: tuple[Panel, ...]
    areas: tuple[Area, ...] = ()

    def json(self, others: Sequence[Panel]) -> Json:
        """As Grafana reads it."""
        return {
            "uid": self.uid,
            "title": f"Ragstone: {self.title}",
            "tags": ["ragstone"],
            "schemaVersion": 39,
            "timezone": "browser",
            "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"},
            "links": [{"type": "dashboards", "tags": ["ragstone"], "title": "Ragstone", "asDropdown": True}],
            "templating": {"list": _variables()},
            "panels": list(_placed((*self.panels, *others))),
        }


def _variables() -> list[Json]:
    source: Json = {"name": "datasource", "type": "datasource", "query": "prometheus"}
    up = f.APPLICATION.series
    found = [source]
    for name, query in (
        ("job", f"label_values({up}, job)"),
        ("instance", f'label_values({up}{{job="$job"}}, instance)'),
    ):
        found.append(
            {
                "name": name,
                "type": "query",
                "datasource": {"type": "prometheus", "uid": "${datasource}"},
                "query": {"query": query, "refId": name},
                "refresh": 2,
                "multi": name == "instance",
                "includeAll": name == "instance",
            }
        )
    return found


def _placed(panels: Sequence[Panel]) -> Iterator[Json]:
    x = y = height = 0
    for number, panel in enumerate(panels, start=1):
        if x + panel.width > WIDTH:
            x, y, height = 0, y + height, 0
        yield panel.json(number, x, y)
        x, height = x + panel.width, max(height, panel.height)


def _by(title: str, family: f.Family, *labels: str, unit: Unit = "reqps", about: str = "") -> Panel:
    """What a counter does per second, by labels."""
    legend = " ".join(f"{{{{{label}}}}}" for label in labels)
    return Panel(title, (Query(rate(family, by=labels), legend),), unit, about or family.help)


OVERVIEW = Dashboard(
    "ragstone-overview",
    "overview",
    (
        stat("Requests per second", rate(f.HTTP_REQUESTS), "reqps"),
        stat(
            "Failed requests",
            share(f"({rate(f.HTTP_REQUESTS, FAILED)} or vector(0))", rate(f.HTTP_REQUESTS)),
            "percentunit",
            "Share of responses with status 5xx.",
        ),
        stat("Search, p95", quantile(0.95, f.QUESTION_SECONDS, 'operation="search"'), "s"),
        stat("Answer, p95", quantile(0.95, f.QUESTION_SECONDS, 'operation="ask"'), "s"),
        stat(
            "From caches",
            share(
                rate(f.QUESTIONS, 'cache=~"hit|evidence|semantic|shared"'),
                rate(f.QUESTIONS),
            ),
            "percentunit",
            "Share of questions that were not worked out anew.",
        ),
        stat("Oldest waiting job", largest(f.OLDEST_JOB), "s"),
        _by("Requests by route", f.HTTP_REQUESTS, "route"),
        latency("Duration of requests", f.HTTP_SECONDS),
        _by("Degraded responses by what was missing", f.DEGRADED, "part", about="0 when all is well."),
        _by("Error responses by code", f.HTTP_PROBLEMS, "code"),
        stat("Documents", largest(f.CORPUS_DOCUMENTS)),
        stat("Chunks", largest(f.CORPUS_CHUNKS)),
        stat("Corpus version", largest(f.CORPUS_VERSION)),
        stat("Servers", f"count({series(f.APPLICATION)})"),
        stat("Memory", total(f.PROCESS_MEMORY), "bytes"),
        stat("Running since", f"min({series(f.PROCESS_START)}) * 1000", "dateTimeFromNow"),
    ),
    ("http", "mcp"),
)
QUESTIONS = Dashboard(
    "ragstone-questions",
    "search and answers",
    (
        _by("Questions by where the result came from", f.QUESTIONS, "operation", "cache"),
        latency("Duration of questions", f.QUESTION_SECONDS, by=("operation",)),
        latency("Finding passages anew", f.RETRIEVAL_SECONDS, by=("operation",)),
        Panel(
            "Stages, p95",
            (Query(quantile(0.95, f.STAGE_SECONDS, by=("operation", "stage")), "{{operation}} {{stage}}"),),
            "s",
            "Which stage an operation spends its time in.",
        ),
        Panel(
            "Questions without a passage",
            (
                Query(
                    share(
                        rate(f.QUESTIONS_WITHOUT_HITS, by=("operation",)),
                        rate(f.QUESTIONS, by=("operation",)),
                    ),
                    "{{operation}}",
                ),
            ),
            "percentunit",
            "What users ask and the documents do not say.",
        ),
        latency("First token", f.FIRST_TOKEN_SECONDS, by=("model",)),
        Panel(
            "Tokens per second, median",
            (Query(quantile(0.5, f.TOKENS_PER_SECOND, by=("model",)), "{{model}}"),),
            "short",
            f.TOKENS_PER_SECOND.help,
        ),
        _by("Tokens per second of all answers", f.GENERATOR_TOKENS, "kind", unit="short"),
    ),
    ("questions", "generation", "embedding"),
)
INGESTION = Dashboard(
    "ragstone-ingestion",
    "ingestion",
    (
        Panel(
            "Jobs by state",
            (Query(largest(f.JOBS, by=("state",)), "{{state}}"),),
            "short",
            "What waits, what is worked on, and what failed for good.",
        ),
        Panel("Oldest waiting job", (Query(largest(f.OLDEST_JOB), "age"),), "s", f.OLDEST_JOB.help),
        _by("Attempts by outcome", f.JOB_ATTEMPTS, "outcome", unit="short"),
        latency("Duration of attempts", f.JOB_SECONDS, by=("outcome",)),
        _by("Documents written", f.DOCUMENTS_WRITTEN, "status", unit="short"),
    ),
    ("ingestion",),
)
CACHES = Dashboard(
    "ragstone-caches",
    "caches",
    (
        Panel(
            "Found",
            (
                Query(
                    share(rate(f.CACHE_LOOKUPS, FOUND, by=("cache",)), rate(f.CACHE_LOOKUPS, by=("cache",))),
                    "{{cache}}",
                ),
            ),
            "percentunit",
            "Share of lookups that found something. A fall after a change of the corpus is right.",
        ),
        _by("Lookups", f.CACHE_LOOKUPS, "cache", "found", unit="short"),
        Panel(
            "Memory", (Query(total(f.CACHE_BYTES, by=("cache",)), "{{cache}}"),), "bytes", f.CACHE_BYTES.help
        ),
        _by("Time saved per second", f.CACHE_SAVED, "cache", unit="s"),
    ),
    ("caches",),
)
DEPENDENCIES = Dashboard(
    "ragstone-dependencies",
    "dependencies",
    (
        Panel("Redis answers", (Query(f"min({series(f.REDIS_UP)})", "up"),), "short", f.REDIS_UP.help),
        Panel(
            "Generator calls that failed",
            (
                Query(
                    share(
                        rate(f.GENERATIONS, 'outcome!~"ok|stopped"', by=("model",)),
                        rate(f.GENERATIONS, by=("model",)),
                    ),
                    "{{model}}",
                ),
            ),
            "percentunit",
            "Answers quote the documents meanwhile.",
        ),
        Panel(
            "Open breakers",
            (Query(largest(f.BREAKER_STATE, 'state="open"', by=("dependency",)), "{{dependency}}"),),
            "short",
            "1 while a part is left alone after failures; /health/detailed says why.",
        ),
        Panel(
            "Health of parts",
            (Query(f"min by (component) ({series(f.COMPONENT_HEALTH)})", "{{component}}"),),
            "short",
            f.COMPONENT_HEALTH.help,
        ),
        latency("Lateness of the event loop", f.LOOP_LAG),
        latency("Database writes", f.DATABASE_WRITES),
        latency("Waiting for the turn to write", f.DATABASE_WAITS),
    ),
    ("store", "resilience"),
)
RESOURCES = Dashboard(
    "ragstone-resources",
    "resources",
    (
        Panel(
            "Processor",
            (Query(rate(f.PROCESS_CPU, by=("instance",)), "{{instance}}"),),
            "short",
            "Cores in use.",
        ),
        Panel(
            "Memory",
            (Query(total(f.PROCESS_MEMORY, by=("instance", "of")), "{{instance}} {{of}}"),),
            "bytes",
            f.PROCESS_MEMORY.help,
        ),
        Panel("Disk left", (Query(f"min({series(f.DISK_FREE)})", "free"),), "bytes", f.DISK_FREE.help),
    ),
    ("process",),
)
DASHBOARDS = (OVERVIEW, QUESTIONS, INGESTION, CACHES, DEPENDENCIES, RESOURCES)


def build_dashboards() -> dict[str, Json]:
    """Grafana's JSON by file name; every declared family is on one of them."""
    shown = {name for board in DASHBOARDS for panel in board.panels for name in named_in(panel)}
    built: dict[str, Json] = {}
    for board in DASHBOARDS:
        rest = [
            plain(family)
            for family in FAMILIES.values()
            if family.area in board.areas and family.name not in shown and family.kind != "info"
        ]
        built[f"{board.uid}.json"] = board.json(rest)
    return built


def named_in(panel: Panel) -> set[str]:
    """The declared families that a panel's queries read."""
    return {family_named(name) for query in panel.queries for name in NAME.findall(query.expr)}


def family_named(series_name: str) -> str:
    """The family of a series.

    Raises:
        ValueError: no family declares it.
    """
    for ending in ("", "_total", "_bucket", "_count", "_sum", "_info"):
        name = series_name.removesuffix(ending) if ending else series_name
        family = FAMILIES.get(name)
        if family is not None and ending in _ENDINGS[family.kind]:
            return name
    raise ValueError(f"no declared metric has a series {series_name!r}")


_ENDINGS = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_count", "_sum"),
    "info": ("_info",),
}
