"""Recording and alert rules, each alert with an example that must fire and one that must not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from scripts.monitoring.promql import largest, quantile, rate, series, share

from ragstone.telemetry import families as f
from ragstone.telemetry.families import Family

Json = dict[str, object]
WINDOW = "5m"
FAILED_REQUESTS = 'status=~"5.."'
SEARCH = 'operation="search"'
ASK = 'operation="ask"'
FAILED_CALLS = 'outcome!~"ok|stopped"'
FAILED_JOBS = 'outcome="failed"'
DROPPED = 'outcome="dropped"'
OPEN = 'state="open"'
RUNBOOK = "docs/alerts.md"


@dataclass(frozen=True, slots=True)
class Example:
    """What the series of an example do, in promtool's notation, and for how long they are watched."""

    bad: tuple[tuple[str, str], ...]
    good: tuple[tuple[str, str], ...]
    at: str = "30m"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert: what is wrong, for how long before somebody hears of it, and what to do."""

    name: str
    expr: str
    for_: str
    severity: Literal["critical", "warning"]
    summary: str
    action: str
    example: Example


def _rate(family: Family, *matchers: str, by: tuple[str, ...] = ()) -> str:
    return rate(family, *matchers, by=by, window=WINDOW, is_selected=False)


def _quantile(part: float, family: Family, *matchers: str) -> str:
    return quantile(part, family, *matchers, window=WINDOW, is_selected=False)


def _failing(family: Family, matcher: str, by: tuple[str, ...] = ()) -> str:
    """The share of a counter that a matcher picks; nothing while the counter rests."""
    return share(_rate(family, matcher, by=by), _rate(family, by=by))


def _named(family: Family, **labels: str) -> str:
    """A series of an example."""
    inside = ",".join(f'{name}="{value}"' for name, value in {"job": "ragstone", **labels}.items())
    return f"{family.series}{{{inside}}}"


def _buckets(family: Family, upper: float, **labels: str) -> tuple[tuple[str, str], ...]:
    """A histogram all of whose values lie in the bucket that ends at `upper`."""
    found = []
    for bound in (*family.buckets, float("inf")):
        shown = "+Inf" if bound == float("inf") else str(float(bound))
        moves = "0+60x60" if bound >= upper else "0x60"
        inside = {"job": "ragstone", **labels, "le": shown}
        written = ",".join(f'{name}="{value}"' for name, value in inside.items())
        found.append((f"{family.name}_bucket{{{written}}}", moves))
    return tuple(found)


def _level(family: Family, bad: float, good: float, **labels: str) -> Example:
    """A gauge that stands at a bad and at a good value."""
    name = _named(family, **labels)
    return Example(((name, f"{bad}x60"),), ((name, f"{good}x60"),))


def _mix(family: Family, label: str, bad: str, good: str, **labels: str) -> Example:
    """A counter that moves by half in a bad way, and one that moves in a good way only."""
    wrong, right = _named(family, **labels, **{label: bad}), _named(family, **labels, **{label: good})
    return Example(((wrong, "0+60x60"), (right, "0+60x60")), ((wrong, "0x60"), (right, "0+60x60")))


RECORDED: tuple[tuple[str, str], ...] = (
    ("ragstone:http_requests:rate5m", _rate(f.HTTP_REQUESTS, by=("job", "route"))),
    ("ragstone:http_failures:ratio5m", _failing(f.HTTP_REQUESTS, FAILED_REQUESTS, ("job",))),
    ("ragstone:search_seconds:p95_5m", _quantile(0.95, f.QUESTION_SECONDS, SEARCH)),
    ("ragstone:answer_seconds:p95_5m", _quantile(0.95, f.QUESTION_SECONDS, ASK)),
    ("ragstone:first_token_seconds:p95_5m", _quantile(0.95, f.FIRST_TOKEN_SECONDS)),
    ("ragstone:cache_found:ratio5m", _failing(f.CACHE_LOOKUPS, 'found!="miss"', ("job", "cache"))),
    (
        "ragstone:generation_failures:ratio5m",
        _failing(f.GENERATIONS, FAILED_CALLS, ("job", "model")),
    ),
    ("ragstone:memory_bytes:sum", f"sum by (job, instance) ({f.PROCESS_MEMORY.series})"),
)

ALERTS: tuple[Alert, ...] = (
    Alert(
        "RagstoneDown",
        'up{job="ragstone"} == 0',
        "2m",
        "critical",
        "A Ragstone server does not answer its scrapes.",
        "Look whether the process runs, and at the end of its log.",
        Example((('up{job="ragstone"}', "0x60"),), (('up{job="ragstone"}', "1x60"),)),
    ),
    Alert(
        "RagstoneRestarts",
        f"changes({f.PROCESS_START.series}[30m]) > 3",
        "1m",
        "critical",
        "A Ragstone server started more than three times within half an hour.",
        "The end of its log says why it stopped; look for a lack of memory, too.",
        Example(
            ((_named(f.PROCESS_START), "1x10 2x5 3x5 4x5 5x5 6x40"),), ((_named(f.PROCESS_START), "1x60"),)
        ),
    ),
    Alert(
        "RagstoneRequestsFail",
        f"{_failing(f.HTTP_REQUESTS, FAILED_REQUESTS, ('job',))} > 0.05",
        "5m",
        "critical",
        "More than 5 % of the responses have a status of 5xx.",
        "Look at the codes of the errors, and at /health/detailed.",
        _mix(f.HTTP_REQUESTS, "status", "503", "200", method="POST", route="/v1/ask"),
    ),
    Alert(
        "RagstoneSearchSlow",
        f"{_quantile(0.95, f.QUESTION_SECONDS, SEARCH)} > 1",
        "10m",
        "warning",
        "5 % of the searches take longer than a second.",
        "Compare the stages of a search; look at processor and memory.",
        Example(
            _buckets(f.QUESTION_SECONDS, 5.0, operation="search", cache="miss"),
            _buckets(f.QUESTION_SECONDS, 0.01, operation="search", cache="miss"),
        ),
    ),
    Alert(
        "RagstoneAnswersSlow",
        f"{_quantile(0.95, f.QUESTION_SECONDS, ASK)} > 20",
        "10m",
        "warning",
        "5 % of the answers take longer than 20 seconds.",
        "Look at the generator: time to the first token, tokens per second.",
        Example(
            _buckets(f.QUESTION_SECONDS, 30.0, operation="ask", cache="miss"),
            _buckets(f.QUESTION_SECONDS, 2.5, operation="ask", cache="miss"),
        ),
    ),
    Alert(
        "RagstoneDegraded",
        f"{share(_rate(f.DEGRADED), _rate(f.QUESTIONS))} > 0.05",
        "5m",
        "warning",
        "Something was missing from more than 5 % of the responses.",
        "The label `part` names it: a leg, the generator, a cache.",
        Example(
            ((_named(f.DEGRADED, part="dense:failed"), "0+60x60"), (_named(f.QUESTIONS), "0+60x60")),
            ((_named(f.DEGRADED, part="dense:failed"), "0x60"), (_named(f.QUESTIONS), "0+60x60")),
        ),
    ),
    Alert(
        "RagstoneGeneratorFails",
        f"{_failing(f.GENERATIONS, FAILED_CALLS, ('job', 'model'))} > 0.2",
        "5m",
        "warning",
        "More than a fifth of the calls of a generator fail.",
        "Answers quote the documents meanwhile. Look at that server, its key and its limits.",
        _mix(f.GENERATIONS, "outcome", "generator_failed", "ok", model="llama3.2"),
    ),
    Alert(
        "RagstoneEmbeddingQueue",
        f"{largest(f.EMBEDDING_QUEUE, is_selected=False)} > 256",
        "5m",
        "warning",
        "More than 256 texts wait for the embedding model.",
        "Searches are slow, and rejected beyond models.waiting_queries. Add a server, or slow the callers.",
        _level(f.EMBEDDING_QUEUE, 500, 3),
    ),
    Alert(
        "RagstoneJobsWait",
        f"{largest(f.OLDEST_JOB, is_selected=False)} > 900",
        "5m",
        "warning",
        "A job has waited for more than a quarter of an hour.",
        "`ragstone jobs list` shows what is worked on; add workers (`ragstone worker`).",
        _level(f.OLDEST_JOB, 2000, 5),
    ),
    Alert(
        "RagstoneJobsFail",
        f"{_failing(f.JOB_ATTEMPTS, FAILED_JOBS, ('job',))} > 0.2",
        "15m",
        "warning",
        "More than a fifth of the attempts at jobs fail for good.",
        "`ragstone jobs list --state failed` and `ragstone jobs explain` say why.",
        _mix(f.JOB_ATTEMPTS, "outcome", "failed", "ready"),
    ),
    Alert(
        "RagstoneDatabaseFails",
        f"{_rate(f.DATABASE_ERRORS)} > 0.1",
        "5m",
        "critical",
        "The database fails reads or writes.",
        "Look whether its disk is full or slow, and whether another program locks it.",
        Example(
            ((_named(f.DATABASE_ERRORS, kind="OperationalError"), "0+60x60"),),
            ((_named(f.DATABASE_ERRORS, kind="OperationalError"), "0x60"),),
        ),
    ),
    Alert(
        "RagstoneWritesWait",
        f"{_quantile(0.95, f.DATABASE_WAITS)} > 1",
        "10m",
        "warning",
        "5 % of the writes wait longer than a second for their turn.",
        "Something writes for long: look at the duration of writes and at the disk.",
        Example(_buckets(f.DATABASE_WAITS, 5.0), _buckets(f.DATABASE_WAITS, 0.001)),
    ),
    Alert(
        "RagstoneIndexBehind",
        f"{largest(f.INDEX_BEHIND, by=('job', 'instance'), is_selected=False)} > 0",
        "10m",
        "warning",
        "The indexes of a server have not followed the database for ten minutes.",
        "`ragstone check` says what is wrong; `ragstone check --repair` builds the indexes anew.",
        _level(f.INDEX_BEHIND, 4, 0),
    ),
    Alert(
        "RagstoneRedisDown",
        f"{series(f.REDIS_UP, is_selected=False)} == 0",
        "2m",
        "warning",
        "Redis does not answer.",
        "Answers are made anew meanwhile. Look at Redis and at cache.redis_url.",
        _level(f.REDIS_UP, 0, 1),
    ),
    Alert(
        "RagstoneQuestionsDropped",
        f"{_rate(f.QUERIES_TRACKED, DROPPED)} > 0",
        "5m",
        "warning",
        "Questions are not counted, because the database does not take them.",
        "Look at the database's errors and the duration of its writes.",
        Example(
            ((_named(f.QUERIES_TRACKED, outcome="dropped"), "0+60x60"),),
            ((_named(f.QUERIES_TRACKED, outcome="dropped"), "0x60"),),
        ),
    ),
    Alert(
        "RagstoneBreakerOpen",
        f"{largest(f.BREAKER_STATE, OPEN, by=('job', 'dependency'), is_selected=False)} == 1",
        "5m",
        "warning",
        "A part has failed again and again, and is left alone.",
        "The label `dependency` names it; /health/detailed says why it is open and when it is tried again.",
        _level(f.BREAKER_STATE, 1, 0, dependency="generator", state="open"),
    ),
    Alert(
        "RagstoneRefusesWork",
        f"{_rate(f.PLACES_REFUSED, by=('job', 'of'))} > 0.1",
        "5m",
        "warning",
        "Requests are refused, because every place for such work is taken.",
        "Add a server, or raise limits.max_concurrent_* if this machine can take more.",
        Example(
            ((_named(f.PLACES_REFUSED, of="asks"), "0+60x60"),),
            ((_named(f.PLACES_REFUSED, of="asks"), "0x60"),),
        ),
    ),
    Alert(
        "RagstoneLoopStalls",
        f"{_quantile(0.99, f.LOOP_LAG)} > 0.25",
        "10m",
        "warning",
        "The event loop of a server wakes a quarter of a second late at times.",
        "The machine is short of processor time, or something blocks the loop: report it with a profile.",
        Example(_buckets(f.LOOP_LAG, 1.0), _buckets(f.LOOP_LAG, 0.0025)),
    ),
    Alert(
        "RagstoneLogDropped",
        f"{_rate(f.LOG_ROWS, DROPPED)} > 0",
        "5m",
        "warning",
        "Rows of the log of requests are dropped, because too many wait.",
        "Look whether the file of the log can be written, and at the time of its batches.",
        Example(
            ((_named(f.LOG_ROWS, table="query_logs", outcome="dropped"), "0+60x60"),),
            ((_named(f.LOG_ROWS, table="query_logs", outcome="dropped"), "0x60"),),
        ),
    ),
    Alert(
        "RagstonePartFails",
        f"min by (job, component) ({series(f.COMPONENT_HEALTH, is_selected=False)}) == 0",
        "5m",
        "critical",
        "A part of a server has failed.",
        "The label `component` names it; /health/detailed says more.",
        _level(f.COMPONENT_HEALTH, 0, 1, component="store"),
    ),
    Alert(
        "RagstoneMemoryShort",
        f"{series(f.MACHINE_MEMORY, is_selected=False)} < 268435456",
        "5m",
        "critical",
        "The machine has less than 256 MiB of memory left.",
        "Lower the caches (cache.*_max_bytes), or give it more.",
        _level(f.MACHINE_MEMORY, 1e8, 4e9),
    ),
    Alert(
        "RagstoneDiskShort",
        f"{series(f.DISK_FREE, is_selected=False)} < 1073741824",
        "5m",
        "critical",
        "Less than 1 GiB is left where the home lies.",
        "Remove what is not needed, or move the home: writes fail when the disk is full.",
        _level(f.DISK_FREE, 5e8, 5e10),
    ),
    Alert(
        "RagstoneFilesMany",
        f"{series(f.PROCESS_FILES, is_selected=False)} > 5000",
        "10m",
        "warning",
        "A server holds more than 5,000 files and sockets open.",
        "Look at the number of clients; raise the limit of the process (ulimit -n).",
        _level(f.PROCESS_FILES, 8000, 90),
    ),
)


def recording_rules() -> Json:
    """The file of recording rules."""
    rules = [{"record": name, "expr": expr} for name, expr in RECORDED]
    return {"groups": [{"name": "ragstone-recorded", "interval": "30s", "rules": rules}]}


def alert_rules() -> Json:
    """The file of alert rules."""
    rules = [
        {
            "alert": alert.name,
            "expr": alert.expr,
            "for": alert.for_,
            "labels": {"severity": alert.severity},
            "annotations": {
                "summary": alert.summary,
                "description": alert.action,
                "runbook": f"{RUNBOOK}#{alert.name.lower()}",
            },
        }
        for alert in ALERTS
    ]
    return {"groups": [{"name": "ragstone", "rules": rules}]}


def rule_tests() -> Json:
    """Promtool's unit tests: every alert fires on its bad example and is silent on its good one."""
    tests: list[Json] = []
    for alert in ALERTS:
        for values, is_bad in ((alert.example.bad, True), (alert.example.good, False)):
            tests.append(
                {
                    "name": f"{alert.name} {'fires' if is_bad else 'is silent'}",
                    "interval": "1m",
                    "input_series": [{"series": name, "values": moves} for name, moves in values],
                    "promql_expr_test": [
                        {
                            "expr": f'count(ALERTS{{alertname="{alert.name}",alertstate="firing"}})',
                            "eval_time": alert.example.at,
                            "exp_samples": [{"labels": "{}", "value": 1}] if is_bad else [],
                        }
                    ],
                }
            )
    return {"rule_files": ["alerts.yml", "recording.yml"], "evaluation_interval": "1m", "tests": tests}
