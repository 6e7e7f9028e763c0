"""`ragstone analytics`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Literal

import typer

from ragstone.entrypoints.cli.context import (
    HomeOption,
    JsonOption,
    console,
    load_settings,
    print_json,
    with_backend,
    with_log,
)

if TYPE_CHECKING:
    from ragstone.entrypoints.cli.analytics_backend import AnalyticsCalls, ReportChoice
    from ragstone.store.log_choice import Period, RowFilter

app = typer.Typer(help="See what was asked, how it went, and what it cost.", no_args_is_help=True)

Kind = Literal["all", "without_hits", "low_relevance", "unanswered", "failed", "slow", "degraded"]
TableName = Literal["query_logs", "document_accesses", "error_logs", "system_metrics"]
Form = Literal["csv", "jsonl", "parquet"]

WITH_MODEL = ("clusters",)
"""Reports that need more than the log."""

Days = Annotated[int, typer.Option(min=1, max=3660, help="The last days.")]
Since = Annotated[str | None, typer.Option(metavar="TIME", help="From then on: 2026-11-01, or with a time.")]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Before then.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many at most.")]


def _add_report(name: str, does: str, example: str, *, days: int = 7) -> None:
    """A command that shows a report of a period."""

    @app.command(name, help=f"{does}\n\nExample: ragstone analytics {example}")
    def shown(
        context: typer.Context,
        days: Days = days,
        since: Since = None,
        until: Until = None,
        as_json: JsonOption = False,
        home: HomeOption = None,
    ) -> None:
        _show(context, home, _choice(name, days, since, until), as_json)


def _add_list(name: str, does: str, example: str) -> None:
    """A command that shows a report of a period with so many entries at most."""

    @app.command(name, help=f"{does}\n\nExample: ragstone analytics {example}")
    def shown(
        context: typer.Context,
        limit: Limit = 20,
        days: Days = 7,
        since: Since = None,
        until: Until = None,
        as_json: JsonOption = False,
        home: HomeOption = None,
    ) -> None:
        _show(context, home, _choice(name, days, since, until, limit=limit), as_json)


_add_report(
    "statistics",
    "Count requests; how they went, how long they took, by door, cache and day.",
    "statistics --days 30",
)


@app.command("questions")
def questions(
    context: typer.Context,
    kind: Annotated[
        Kind,
        typer.Argument(
            metavar="KIND",
            help="all, without_hits, low_relevance, unanswered, failed, slow or degraded.",
        ),
    ] = "all",
    limit: Limit = 20,
    days: Days = 7,
    since: Since = None,
    until: Until = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """List questions by what came of them, the most asked first.

    Example: ragstone analytics questions unanswered --days 30
    """
    _show(context, home, _choice("questions", days, since, until, limit=limit, kind=kind), as_json)


_add_list("documents", "List the documents that requests found most.", "documents -n 50")
_add_report("relevance", "Show how well the best hits of questions fit.", "relevance")
_add_list("patterns", "Show the words, hours and lengths of questions.", "patterns --days 30")
_add_list("clusters", "Group questions that mean about the same.", "clusters --days 30")
_add_report(
    "costs",
    "Add up tokens and what they cost, by model and by day; prices are `analytics.prices`.",
    "costs --days 30",
    days=30,
)


@app.command("errors")
def errors(
    context: typer.Context,
    type_: Annotated[str | None, typer.Option("--type", help="Of this class only.")] = None,
    service: Annotated[str | None, typer.Option(help="Of this door, or worker, sync, warming, only.")] = None,
    severity: Annotated[str | None, typer.Option(help="warning, error or critical only.")] = None,
    limit: Limit = 20,
    days: Days = 7,
    since: Since = None,
    until: Until = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show what went wrong, by kind; `--json` has the newest ones with their places in the code.

    Example: ragstone analytics errors --severity error
    """
    from ragstone.store.log_choice import RowFilter

    chosen = RowFilter(type=type_, service=service, severity=severity)
    _show(context, home, _choice("errors", days, since, until, limit=limit, chosen=chosen), as_json)


@app.command("requests")
def requests(
    context: typer.Context,
    client: Annotated[str | None, typer.Option(help="Of this client only.")] = None,
    user: Annotated[str | None, typer.Option(help="Of this user only.")] = None,
    cache: Annotated[str | None, typer.Option(help="Answered from there only: hit, miss, evidence.")] = None,
    is_success: Annotated[
        bool | None, typer.Option("--succeeded/--failed", help="Only those that did.")
    ] = None,
    limit: Limit = 20,
    days: Days = 7,
    since: Since = None,
    until: Until = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """List the newest requests.

    Example: ragstone analytics requests --failed --client 127.0.0.1
    """
    from ragstone.store.log_choice import RowFilter

    chosen = RowFilter(client=client, user=user, cache=cache, is_success=is_success)
    _show(context, home, _choice("requests", days, since, until, limit=limit, chosen=chosen), as_json)


_add_list("system", "Show how servers and workers were doing, the newest first.", "system -n 60")


@app.command("export")
def export(
    context: typer.Context,
    table: Annotated[
        TableName,
        typer.Argument(metavar="TABLE", help="query_logs, document_accesses, error_logs or system_metrics."),
    ],
    form: Annotated[Form, typer.Option("--format", help="csv, jsonl or parquet.")] = "csv",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to; stdout when left out.")
    ] = None,
    days: Days = 3660,
    since: Since = None,
    until: Until = None,
    home: HomeOption = None,
) -> None:
    """Write a table of the log to a file, oldest row first.

    Example: ragstone analytics export query_logs --format parquet -o log.parquet
    """
    from ragstone.entrypoints.cli.analytics_backend import ExportChoice

    wanted = ExportChoice(table, form, _period(days, since, until), since, until)

    async def run(log: AnalyticsCalls) -> None:
        with _target(output) as file:
            async with contextlib.aclosing(log.export(wanted)) as pieces:
                async for piece in pieces:
                    file.write(piece)

    with_log(load_settings(context, home), run)
    if output is not None:
        print(f"{table} written to {output}, {output.stat().st_size} bytes.")


@app.command("import")
def import_log(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines, or CSV with a header.")],
    form: Annotated[
        Literal["jsonl", "csv"] | None, typer.Option("--format", help="jsonl or csv; by the name's end.")
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", "-m", metavar="OURS=THEIRS", help="Which column holds a field; repeatable."),
    ] = None,
    is_dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only, add nothing.")] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Take in the query log of another system; repeating it adds nothing twice.

    Example: ragstone analytics import old.csv -m question=user_input -m time=created
    """
    from ragstone.entrypoints.cli.analytics_backend import ImportChoice
    from ragstone.entrypoints.cli.show_analytics import import_lines
    from ragstone.errors import InvalidRequest, PathNotFound

    if not file.is_file():
        raise PathNotFound(f"There is no file at {str(file)!r}.")
    pairs = [pair.partition("=") for pair in columns or ()]
    for ours, sign, theirs in pairs:
        if not (ours and sign and theirs):
            raise InvalidRequest(
                f"--map {ours}{sign}{theirs} is not OURS=THEIRS, such as question=user_input."
            )
    chosen = form or ("csv" if file.suffix.lower() == ".csv" else "jsonl")
    wanted = ImportChoice(file, chosen, {ours: theirs for ours, _, theirs in pairs}, is_dry_run)
    found = with_log(load_settings(context, home), lambda log: log.import_log(wanted))
    if as_json:
        print_json(found)
        return
    for line in import_lines(found):
        print(line)


def _show(context: typer.Context, home: Path | None, wanted: ReportChoice, as_json: bool) -> None:
    from ragstone.entrypoints.cli.show_analytics import show_report

    loaded = load_settings(context, home)
    if wanted.name in WITH_MODEL:
        found = with_backend(loaded, lambda backend: backend.analytics.report(wanted))
    else:
        found = with_log(loaded, lambda log: log.report(wanted))
    if as_json:
        print_json(found)
    else:
        show_report(console(), wanted.name, found)


def _choice(
    name: str,
    days: int,
    since: str | None,
    until: str | None,
    *,
    limit: int = 20,
    kind: Kind = "all",
    chosen: RowFilter | None = None,
) -> ReportChoice:
    from ragstone.entrypoints.cli.analytics_backend import ReportChoice
    from ragstone.store.log_choice import RowFilter

    period = _period(days, since, until)
    return ReportChoice(name, period, since, until, limit, kind, chosen or RowFilter())


def _period(days: int, since: str | None, until: str | None) -> Period:
    from ragstone.store.log_choice import Period

    return Period(_ms("--since", since), _ms("--until", until), days)


def _ms(option: str, text: str | None) -> int | None:
    from ragstone.errors import InvalidRequest

    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequest(
            f"{option} {text!r} is no time; write 2026-11-01 or 2026-11-01T09:30."
        ) from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


@contextlib.contextmanager
def _target(output: Path | None) -> Iterator[BinaryIO]:
    if output is None:
        yield sys.stdout.buffer
        return
    fresh = output.with_name(f"{output.name}.part")
    try:
        with fresh.open("wb") as file:
            yield file
        fresh.replace(output)
    finally:
        fresh.unlink(missing_ok=True)
