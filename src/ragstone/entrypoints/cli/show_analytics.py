"""How the log looks in a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from rich.console import Console

    from ragstone.entrypoints.wire import Wire

BAR_CELLS = 40
TEXT_COLUMNS = frozenset(
    {"question", "title", "source", "value", "term", "model", "date", "time", "type", "message", "cache"}
    | {"code", "process", "error_code", "client", "door", "severity", "service", "questions", "words"}
)


def show_report(console: Console, name: str, found: Wire) -> None:
    """A report as tables."""
    REPORTS[name](console, found)


def import_lines(found: Wire) -> list[str]:
    """What became of an import."""
    verb = "would be added" if found["is_dry_run"] else "added"
    lines = [f"{found['read']} read: {found['added']} {verb}, {found['known']} there already."]
    for one in _list(found["refused"]):
        numbers = ", ".join(str(number) for number in cast("list[int]", one["lines"]))
        lines.append(f"{one['count']} refused: {one['reason']} (lines {numbers}).")
    return lines


def _statistics(console: Console, found: Wire) -> None:
    console.print(f"[bold]{found['asked']}[/] requests from {found['since']} to {found['until']}")
    if not found["asked"]:
        return
    rate = cast("float", found["success_rate"])
    console.print(f"{found['succeeded']} succeeded ({rate:.1%}); {found['answers']} asked for an answer")
    names = ("without_hits", "low_relevance", "unanswered", "degraded")
    console.print(", ".join(f"{found[name]} {name.replace('_', ' ')}" for name in names))
    console.print()
    times = [
        {"milliseconds": name, **_wire(found[f"{name}_ms"])} for name in ("total", "retrieval", "generation")
    ]
    columns = ("milliseconds", "count", "mean", "p50", "p95", "p99", "max")
    console.print(table(times, columns, texts={"milliseconds"}))
    for feature in ("door", "mode", "cache", "error_code"):
        groups = [one for one in _list(found[f"by_{feature}"]) if one["value"] is not None]
        if groups:
            console.print()
            renamed = [{feature: one["value"], **one} for one in groups]
            console.print(table(renamed, (feature, "asked", "success_rate", "mean_ms"), texts={feature}))
    console.print()
    console.print(table(_list(found["by_day"]), ("date", "asked", "succeeded", "mean_ms")))


def _questions(console: Console, found: Wire) -> None:
    listed = [
        {
            **one,
            "question": one["question"] or f"(hash {one['question_hash']})",
            "last_asked": one["last_asked_at"],
        }
        for one in _list(found["questions"])
    ]
    _listed(
        console, listed, ("asked", "question", "best_relevance", "mean_ms"), "No such question was asked."
    )


def _documents(console: Console, found: Wire) -> None:
    listed = [
        {**one, "title": one["title"] or f"({one['document_id']} is gone)"}
        for one in _list(found["documents"])
    ]
    columns = ("queries", "citations", "title", "mean_rank", "mean_score")
    _listed(console, listed, columns, "No document was found by a request.")


def _relevance(console: Console, found: Wire) -> None:
    bins = _list(found["bins"])
    most = max(cast("int", one["count"]) for one in bins) or 1
    for one in bins:
        count = cast("int", one["count"])
        bar = "█" * round(count * BAR_CELLS / most)
        console.print(f"{one['from']:.1f} to {one['to']:.1f} {count:>8} {bar}")
    shown = _wire(found["relevance"])
    console.print(f"median {shown['p50']} of {shown['count']}, {found['low']} low")


def _patterns(console: Console, found: Wire) -> None:
    _listed(console, _list(found["terms"]), ("asked", "term"), "No question was asked.")
    lengths = [
        {"words": "more" if one["max_words"] is None else f"up to {one['max_words']}", **one}
        for one in _list(found["lengths"])
    ]
    console.print()
    console.print(table(lengths, ("words", "asked")))
    busiest = sorted(_list(found["hours"]), key=lambda one: -cast("int", one["asked"]))[:5]
    if busiest:
        said = ", ".join(f"{one['weekday']} {one['hour']:>02}:00 ({one['asked']})" for one in busiest)
        console.print(f"\nbusiest hours (UTC): {said}")


def _clusters(console: Console, found: Wire) -> None:
    groups = _list(found["clusters"])
    if not groups:
        console.print("No two questions mean about the same.")
    for group in groups:
        console.print(f"[bold]{group['asked']} askings[/]")
        for one in _list(group["questions"]):
            console.print(f"  {one['asked']:>6}  {escape(str(one['question']))}")


def _costs(console: Console, found: Wire) -> None:
    columns = ("generations", "prompt_tokens", "completion_tokens", "cost")
    _listed(console, _list(found["by_model"]), ("model", *columns), "No tokens were spent.")
    if found["by_model"]:
        console.print()
        console.print(table(_list(found["by_day"]), ("date", *columns)))
    if found["unpriced"]:
        console.print(f"{found['unpriced']} generations have no price: set analytics.prices.")


def _errors(console: Console, found: Wire) -> None:
    columns = ("count", "severity", "service", "type", "message")
    _listed(console, _list(found["groups"]), columns, "Nothing went wrong.")


def _requests(console: Console, found: Wire) -> None:
    listed = [
        {**one, "time": _short_time(one["time"]), "ms": one["total_ms"], "hits": one["source_count"]}
        for one in _list(found["requests"])
    ]
    columns = ("time", "client", "cache", "ms", "hits", "error_code", "question")
    _listed(console, listed, columns, "No such request is logged.")


def _system(console: Console, found: Wire) -> None:
    listed = [
        {
            **one,
            "time": _short_time(one["time"]),
            "memory_mb": round(cast("int", one["memory_bytes"] or 0) / 2**20),
            "cpu": one["cpu_percent"],
        }
        for one in _list(found["system"])
    ]
    columns = ("time", "cpu", "memory_mb", "connections", "queries_per_minute", "mean_query_ms")
    _listed(console, listed, columns, "No system metrics are kept yet.")


REPORTS: Mapping[str, Callable[[Console, Wire], None]] = {
    "statistics": _statistics,
    "questions": _questions,
    "documents": _documents,
    "relevance": _relevance,
    "patterns": _patterns,
    "clusters": _clusters,
    "costs": _costs,
    "errors": _errors,
    "requests": _requests,
    "system": _system,
}


def table(
    found: Sequence[Mapping[str, object]],
    columns: Sequence[str],
    texts: frozenset[str] | set[str] = frozenset(),
) -> Table:
    """One entry a row; numbers to the right."""
    shown = Table(box=None, header_style="bold")
    for column in columns:
        is_text = column in TEXT_COLUMNS or column in texts
        shown.add_column(
            column.replace("_", " "), overflow="fold", justify="left" if is_text else "right", min_width=5
        )
    for one in found:
        shown.add_row(*(escape(_cell(one.get(column))) for column in columns))
    return shown


def _listed(console: Console, found: Sequence[Wire], columns: Sequence[str], nothing: str) -> None:
    console.print(table(found, columns) if found else nothing)


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _short_time(text: object) -> str:
    """Day and time to the second, UTC."""
    return str(text)[5:19].replace("T", " ")


def _wire(value: object) -> Wire:
    return cast("Wire", value)


def _list(value: object) -> list[Wire]:
    return cast("list[Wire]", value)
