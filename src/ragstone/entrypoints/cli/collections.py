"""`ragstone collections`."""

from __future__ import annotations

from typing import Annotated, cast

import typer

from ragstone.entrypoints.cli.chunks import OverlapOption, StrategyOption, TokensOption
from ragstone.entrypoints.cli.context import (
    HomeOption,
    JsonOption,
    console,
    load_settings,
    print_json,
    with_backend,
)

app = typer.Typer(help="List, create and remove collections.", invoke_without_command=True)


@app.callback()
def list_by_default(context: typer.Context, as_json: JsonOption = False, home: HomeOption = None) -> None:
    """List, create and remove collections; without a command they are listed."""
    if context.invoked_subcommand is None:
        list_collections(context, as_json, home)


@app.command("list")
def list_collections(context: typer.Context, as_json: JsonOption = False, home: HomeOption = None) -> None:
    """List the collections with their counts."""
    from ragstone.entrypoints.cli.show import collection_table

    found = with_backend(load_settings(context, home), lambda backend: backend.collections())
    if as_json:
        print_json(found)
    else:
        console().print(collection_table(found))


@app.command("show")
def show_collection(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The collection's name.")] = "default",
    key: Annotated[
        str, typer.Option("--by", metavar="KEY", help="A metadata key, or $media_type, $language, $source.")
    ] = "$media_type",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Values shown, the most frequent first.")] = 20,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Count a collection's documents by what they are, or by a metadata key.

    Examples:

        ragstone collections show

        ragstone collections show handbook --by team
    """
    from ragstone.entrypoints.cli.show import count_table

    settings = load_settings(context, home)
    found = with_backend(settings, lambda backend: backend.count_documents(name, key, limit))
    if as_json:
        print_json(found)
    else:
        console().print(count_table(found))


@app.command("create")
def create_collection(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits, _ and -.")],
    language: Annotated[str, typer.Option(help="ISO 639-1 code; decides the stemmer.")] = "en",
    chunking: StrategyOption = None,
    chunk_tokens: TokensOption = None,
    chunk_overlap: OverlapOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Make a collection with a language or a chunking of its own; adding to a new name makes one, too.

    Example:

        ragstone collections create papers --chunking semantic --chunk-tokens 200
    """
    from ragstone.entrypoints.cli.backend import ChunkingOptions

    options = ChunkingOptions(chunking, chunk_tokens, chunk_overlap)
    made = with_backend(
        load_settings(context, home), lambda backend: backend.create_collection(name, language, options)
    )
    if as_json:
        print_json(made)
    else:
        chosen = cast("dict[str, object]", made["chunking"])
        cut = f"{chosen['strategy']}, {chosen['max_tokens']} tokens, {chosen['overlap_tokens']} shared"
        print(f"created {made['name']} (language {made['language']}; chunks by {cut})")


@app.command("remove")
def remove_collection(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The collection's name.")],
    is_sure: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Remove a collection with all its documents."""
    from ragstone.entrypoints.cli.show import removal

    if not is_sure:
        typer.confirm(f"Remove collection {name!r} with all its documents?", abort=True, err=True)
    done = with_backend(load_settings(context, home), lambda backend: backend.remove_collection(name))
    if as_json:
        print_json(done)
    else:
        removal(console(), done)
