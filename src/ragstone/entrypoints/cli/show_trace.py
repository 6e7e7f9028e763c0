"""How the trace of an answer looks in a terminal: a waterfall, then what was found, read and cited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from rich.console import Console

    from ragstone.entrypoints.wire import Wire

BAR_CELLS = 40
EIGHTHS = " ▏▎▍▌▋▊▉█"
SHOWN_CANDIDATES = 5
REMOVED = "(removed since)"


def answer_trace(console: Console, trace: Wire) -> None:
    """The whole trace."""
    for line in _head(trace):
        console.print(line)
    console.print(_waterfall(trace))
    if trace["caches"]:
        console.print(_caches(_list(trace, "caches")))
    search = trace["search"]
    if isinstance(search, dict):
        for table in _search(search):
            console.print(table)
    if trace["passages"]:
        console.print(_passages(_list(trace, "passages")))
    if trace["citations"]:
        console.print(_citations(_list(trace, "citations")))


def _head(trace: Wire) -> list[str]:
    outcome = (
        f"[red]failed: {trace['error_code']}[/]" if trace["error_code"] else f"{trace['mode'] or 'answered'}"
    )
    asked_by = f"asked by {trace['door']}  request {trace['request_id'] or '-'}"
    lines = [
        f"[bold]{escape(str(trace['question'] or 'The question was not kept (analytics.store_text).'))}[/]",
        f"{trace['at']}  {trace['answer_id']}  {outcome}  cache: {trace['cache']}",
        f"{asked_by}  trace {trace['trace_id'] or '-'}  corpus version {trace['corpus_version']}",
    ]
    if trace["model"]:
        lines.append(f"model {escape(str(trace['model']))}  prompt {trace['prompt_version']}{_usage(trace)}")
    if trace["repeats"]:
        lines.append(f"The response of answer {trace['repeats']} was sent again.")
    if trace["degraded"]:
        lines.append(f"[yellow]degraded: {', '.join(map(str, cast('list[str]', trace['degraded'])))}[/]")
    return lines


def _usage(trace: Wire) -> str:
    usage = trace["usage"]
    if not isinstance(usage, dict):
        return ""
    return f"  {usage['prompt_tokens']} tokens read, {usage['completion_tokens']} written"


def _waterfall(trace: Wire) -> Table:
    """Each run of a stage where it stood in the time of the whole, in order of its beginning."""
    table = _table("stage", "start ms", "ms", "")
    total_ms = max(cast("float", trace["duration_ms"]), 0.001)
    runs = sorted(_list(trace, "stages"), key=lambda run: cast("float", run["start_ms"]))
    for run in runs:
        start_ms, spent_ms = cast("float", run["start_ms"]), cast("float", run["duration_ms"])
        bar = _bar(start_ms / total_ms, spent_ms / total_ms)
        table.add_row(str(run["name"]), f"{start_ms:.2f}", f"{spent_ms:.2f}", f"[cyan]{bar}[/]")
    table.add_row("[bold]total[/]", "", f"[bold]{total_ms:.2f}[/]", "")
    return table


def _bar(start: float, length: float) -> str:
    """A bar on a line of `BAR_CELLS` cells, in eighths of a cell; never nothing."""
    first = min(int(start * BAR_CELLS), BAR_CELLS - 1)
    eighths = max(1, min(round(length * BAR_CELLS * 8), (BAR_CELLS - first) * 8))
    whole, rest = divmod(eighths, 8)
    return " " * first + EIGHTHS[-1] * whole + (EIGHTHS[rest] if rest else "")


def _caches(decisions: Sequence[Wire]) -> Table:
    table = _table("cache", "outcome", "why")
    for made in decisions:
        table.add_row(str(made["level"]), str(made["outcome"]), str(made["reason"] or ""))
    return table


def _search(search: Wire) -> list[Table]:
    weights = cast("dict[str, float]", search["weights"])
    tables = []
    for name, leg in cast("dict[str, Wire]", search["legs"]).items():
        failure = f", failed: {leg['failure']}" if leg["failure"] else ""
        table = _table("rank", "score", "document", title=f"{name}: {leg['count']} candidates{failure}")
        for one in _list(leg, "first")[:SHOWN_CANDIDATES]:
            table.add_row(str(one["rank"]), f"{one['score']:.4f}", _title(one))
        tables.append(table)
    ranking = cast("Wire", search["ranking"])
    told = f"fused by {search['fusion']}, weights {weights['lexical']:g} and {weights['dense']:g}"
    table = _table(
        "rank", "score", "lexical", "dense", "document", title=f"{told}: {ranking['count']} chunks"
    )
    for one in _list(ranking, "first")[:SHOWN_CANDIDATES]:
        ranks = (str(one["lexical_rank"] or "-"), str(one["dense_rank"] or "-"))
        table.add_row(str(one["rank"]), f"{one['score']:.4f}", *ranks, _title(one))
    return [*tables, table]


def _passages(passages: Sequence[Wire]) -> Table:
    table = _table("[n]", "document", "characters", "text", title="passages read")
    for one in passages:
        text = " ".join(str(one["text"] or REMOVED).split())
        table.add_row(str(one["rank"]), _title(one), _span(one), escape(text[:60]))
    return table


def _citations(citations: Sequence[Wire]) -> Table:
    table = _table("[n]", "now", "characters", "quote", title="citations")
    for one in citations:
        quote = " ".join(str(one["quote"] or "").split())
        table.add_row(str(one["marker"]), str(one["state"]), _span(one), escape(quote[:80]))
    return table


def _title(one: Wire) -> str:
    return REMOVED if one["is_removed"] else escape(str(one["title"]))


def _span(one: Wire) -> str:
    found = cast("dict[str, int]", one["span"])
    return f"{found['start']}-{found['end']}"


def _table(*columns: str, title: str | None = None) -> Table:
    table = Table(box=None, header_style="bold", title=title, title_justify="left", title_style="bold")
    for column in columns:
        is_number = column in ("start ms", "ms", "score", "rank", "lexical", "dense")
        table.add_column(escape(column), justify="right" if is_number else "left")
    return table


def _list(found: Wire, name: str) -> list[Wire]:
    return cast("list[Wire]", found[name])
