"""`ragstone check` and `ragstone config`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ragstone.entrypoints.cli.context import (
    HomeOption,
    JsonOption,
    console,
    load_settings,
    print_json,
    quiet_logs,
    run_async,
)

if TYPE_CHECKING:
    from ragstone.config import Loaded
    from ragstone.operate.check import CheckReport

EXIT_PROBLEMS = 1

config_app = typer.Typer(help="Look at the settings.", no_args_is_help=True)


def check(
    context: typer.Context,
    is_repair: Annotated[
        bool, typer.Option("--repair", help="Embed what lacks a vector, rebuild the indexes.")
    ] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Prove that rows, vectors, indexes, originals and the log are sound; exits with 1 when they are not."""
    from ragstone.entrypoints import wire

    loaded = load_settings(context, home)
    quiet_logs(loaded)
    report = run_async(_check(loaded, is_repair=is_repair))
    if as_json:
        print_json(wire.check(report))
    else:
        for problem in report.problems:
            note = "" if problem.is_repairable else " (cannot be repaired)"
            print(f"{problem.store}: {problem.message}{note}")
        verdict = f"{len(report.problems)} problems" if report.problems else "everything agrees"
        log = "no log" if report.log_layout is None else f"log of layout {report.log_layout}"
        print(f"{report.document_count} documents, {report.chunk_count} chunks, {log}: {verdict}.")
        if any(problem.is_repairable for problem in report.problems) and not is_repair:
            print("`ragstone check --repair` mends what can be mended.")
    if report.problems:
        raise typer.Exit(EXIT_PROBLEMS)


@config_app.command("explain")
def explain_config(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="A section or a section.key; all when left out.")] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show every setting with its value, where the value comes from, and what it does.

    Example: ragstone config explain generator
    """
    from ragstone.config import describe, setting_names, shown_value
    from ragstone.errors import InvalidSetting

    loaded = load_settings(context, home)
    names = [
        known for known in setting_names() if name is None or known == name or known.startswith(f"{name}.")
    ]
    if not names:
        raise InvalidSetting(
            f"There is no setting or section {name!r}; `ragstone config explain` lists them all."
        )
    shown = [
        {
            "name": known,
            "value": shown_value(loaded, known),
            "origin": loaded.origins[known],
            "does": describe(known),
        }
        for known in names
    ]
    if as_json:
        print_json({"home": str(loaded.home), "settings": shown})
        return
    from rich.table import Table

    table = Table("setting", "value", "from", "what it does", box=None, header_style="bold")
    for row in shown:
        table.add_row(*(str(row[column]) for column in ("name", "value", "origin", "does")))
    console().print(f"home: {loaded.home}")
    console().print(table)


async def _check(loaded: Loaded, *, is_repair: bool) -> CheckReport:
    from ragstone.runtime.engine import open_engine

    async with open_engine(loaded) as engine:
        return await (engine.checker.repair() if is_repair else engine.checker.check())
