"""`ragstone sources`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from ragstone.entrypoints.cli.context import (
    EXIT_SOME_FAILED,
    HomeOption,
    JsonOption,
    console,
    load_settings,
    print_json,
    with_backend,
)

if TYPE_CHECKING:
    from ragstone.entrypoints.cli.backend import Backend
    from ragstone.entrypoints.wire import Wire
    from ragstone.ingest.sources.catalogue import FolderEntry

app = typer.Typer(help="List, sync and watch the sources of sources.toml.", invoke_without_command=True)
Names = Annotated[list[str] | None, typer.Argument(help="Names of sources.")]


@app.callback()
def list_by_default(context: typer.Context, as_json: JsonOption = False, home: HomeOption = None) -> None:
    """List, sync and watch the sources of HOME/sources.toml; without a command they are listed."""
    if context.invoked_subcommand is None:
        list_sources(context, as_json, home)


@app.command("list")
def list_sources(context: typer.Context, as_json: JsonOption = False, home: HomeOption = None) -> None:
    """List the sources with their documents and last sync."""
    from ragstone.entrypoints.cli.show import source_table

    loaded = load_settings(context, home)
    found = with_backend(loaded, lambda backend: backend.sources())
    if as_json:
        print_json(found)
    elif not found["sources"]:
        place = loaded.settings.sources.catalogue or loaded.home / "sources.toml"
        print(f"No sources yet; {place} names them.")
    else:
        console().print(source_table(found))


@app.command("status")
def show_source(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The source's name.")],
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show a source with its newest syncs and what failed in them."""
    from ragstone.entrypoints.cli.show import source_card

    found = with_backend(load_settings(context, home), lambda backend: backend.get_source(name))
    if as_json:
        print_json(found)
    else:
        source_card(console(), found)


@app.command("sync")
def sync_sources(
    context: typer.Context,
    names: Names = None,
    is_all: Annotated[bool, typer.Option("--all", help="Every source of the catalogue.")] = False,
    is_forced: Annotated[
        bool, typer.Option("--force", help="Remove vanished documents however many they are.")
    ] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Bring the documents of sources up to date.

    Exits with 1 when a source could not be synced whole: the line says why.

    Examples:

        ragstone sources sync handbook

        ragstone sources sync --all
    """
    from ragstone.entrypoints.cli.show import run_line
    from ragstone.errors import InvalidRequest

    if bool(names) == is_all:
        raise InvalidRequest("Name at least one source, or say --all.")

    async def synced(backend: Backend) -> list[Wire]:
        wanted = names or _names(await backend.sources())
        return [await backend.sync_source(name, is_forced=is_forced) for name in wanted]

    runs = with_backend(load_settings(context, home), synced)
    if as_json:
        print_json({"runs": runs})
    else:
        for run in runs:
            console().print(run_line(run))
    if any(run["state"] != "done" or run["failures"] for run in runs):
        raise typer.Exit(EXIT_SOME_FAILED)


@app.command("watch")
def watch_sources(
    context: typer.Context, names: Names = None, as_json: JsonOption = False, home: HomeOption = None
) -> None:
    """Follow folders of the catalogue until Ctrl-C: those named, or all with watch = true.

    The server does this by itself for as long as it runs.
    """
    from ragstone.entrypoints.cli.follow import watch_entries
    from ragstone.errors import InvalidRequest
    from ragstone.ingest.sources.catalogue import FolderEntry, read_catalogue

    loaded = load_settings(context, home)
    catalogue = read_catalogue(loaded.settings.sources.catalogue or loaded.home / "sources.toml")
    wanted = [catalogue.get(name) for name in names or catalogue.entries]
    folders: list[FolderEntry] = []
    for entry in wanted:
        if isinstance(entry, FolderEntry) and (names or entry.watch):
            folders.append(entry)
        elif names:
            raise InvalidRequest(f"Source {entry.name!r} is no folder; give it a schedule instead.")
    if not folders:
        raise InvalidRequest("The catalogue has no folder with watch = true.")
    watch_entries(loaded, folders, is_trusted=False, as_json=as_json)


def _names(found: Wire) -> list[str]:
    return [str(source["name"]) for source in cast("list[Wire]", found["sources"])]
