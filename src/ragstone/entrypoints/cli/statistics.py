"""`ragstone stats`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from ragstone.entrypoints.cli.context import (
    HomeOption,
    JsonOption,
    console,
    load_settings,
    print_json,
    with_backend,
)

if TYPE_CHECKING:
    from ragstone.entrypoints.wire import Wire

COLUMNS = ("count", "errors", "p50", "p95", "p99", "max")
"""What fits; `--json` has the rest."""


def stats(
    context: typer.Context,
    reset: Annotated[bool, typer.Option("--reset", help="Begin anew after showing.")] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show how long the running server's operations take, in milliseconds.

    Percentiles are of the last 1,000 of each.
    """
    found = with_backend(load_settings(context, home), lambda backend: backend.queries.operation_times(reset))
    if as_json:
        print_json(found)
        return
    from rich.table import Table

    for name in ("operations", "custom"):
        figures = cast("dict[str, Wire]", found[name])
        if not figures:
            continue
        table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
        table.add_column(name, overflow="fold")
        for column in COLUMNS:
            table.add_column(column, justify="right")
        for operation, one in figures.items():
            table.add_row(operation, *(_shown(cast("float", one[column])) for column in COLUMNS))
        console().print(table)
    errors = cast("dict[str, int]", found["errors"])
    told = ", ".join(f"{count} {code}" for code, count in errors.items()) or "none"
    print(f"Errors: {told}. Up for {found['uptime_s']} s, counted for {found['since_s']} s.")


def _shown(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
