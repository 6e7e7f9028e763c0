"""`ragstone cache`."""

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
from ragstone.entrypoints.cli.warm import warm

if TYPE_CHECKING:
    from ragstone.entrypoints.wire import Wire

app = typer.Typer(help="Look at what is remembered, forget it, and warm it up.", no_args_is_help=True)
app.command("warm")(warm)


@app.command("stats")
def stats(context: typer.Context, as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Show hits, misses, bytes and what was saved, since the server began.

    Example: ragstone cache stats
    """
    from rich.table import Table

    found = with_backend(load_settings(context, home), lambda backend: backend.cache_statistics())
    if as_json:
        print_json(found)
        return
    table = Table(box=None, header_style="bold")
    table.add_column("cache")
    for name in ("hits", "misses", "rate", "entries", "MiB", "of", "saved"):
        table.add_column(name, justify="right")
    for row in cast("list[Wire]", found["caches"]):
        table.add_row(*_cells(row))
    console().print(table)
    tier = cast("Wire | None", found["tier"])
    if tier is not None:
        state = "available" if tier["is_available"] else f"not available: {tier['error']}"
        mib = cast("int", tier["size_bytes"]) / 2**20
        console().print(f"\nbehind them: {tier['name']}, {tier['entries']} entries, {mib:.1f} MiB, {state}")


@app.command("clear")
def clear(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="CACHE", help="Such as answer or retrieval; all when left out.")
    ] = None,
    collection: Annotated[
        str | None, typer.Option("-c", "--collection", help="Only what was made of this one.")
    ] = None,
    pattern: Annotated[str, typer.Option(help="Only keys that match this glob.")] = "*",
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Forget entries. Nothing is lost: answers are made anew when they are asked for.

    Examples:

        ragstone cache clear

        ragstone cache clear answer -c contracts
    """
    found = with_backend(
        load_settings(context, home), lambda backend: backend.clear_cache(name, pattern, collection)
    )
    if as_json:
        print_json(found)
    else:
        count = cast("int", found["cleared"])
        console().print(f"{count} {'entry' if count == 1 else 'entries'} cleared")


def _cells(row: Wire) -> tuple[str, ...]:
    hits = sum(cast("dict[str, int]", row["hits"]).values())
    size, limit = (cast("int", row[name]) / 2**20 for name in ("size_bytes", "max_bytes"))
    return (
        str(row["name"]),
        str(hits),
        str(row["misses"]),
        f"{cast('float', row['hit_rate']):.0%}",
        str(row["entries"]),
        f"{size:.1f}",
        f"{limit:.0f}",
        f"{cast('float', row['saved_ms']) / 1000:.1f} s",
    )
