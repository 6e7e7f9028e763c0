"""`ragstone docs`."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from ragstone.entrypoints.cli.context import (
    HomeOption,
    JsonOption,
    all_pages,
    console,
    load_settings,
    print_json,
    with_backend,
)

if TYPE_CHECKING:
    from ragstone.entrypoints.cli.backend import Backend
    from ragstone.entrypoints.wire import Wire
    from ragstone.types import JsonValue

app = typer.Typer(help="List, show and remove documents.", no_args_is_help=True)


@app.command("list")
def list_documents(
    context: typer.Context,
    collection: Annotated[str | None, typer.Option("-c", "--collection", help="Only of this one.")] = None,
    filters: Annotated[
        str | None, typer.Option("--filter", metavar="JSON", help="Only what a metadata filter matches.")
    ] = None,
    sort: Annotated[
        str,
        typer.Option(
            metavar="KEY",
            help="created_at, updated_at, title, size_bytes or chunk_count; -KEY begins with the highest.",
        ),
    ] = "created_at",
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """List documents, oldest first unless --sort says otherwise.

    Examples:

        ragstone docs list --sort=-updated_at --limit 10

        ragstone docs list --filter '{"type": "eq", "key": "$language", "value": "python"}'
    """
    from ragstone.entrypoints.cli.backend import DocumentChoice

    wanted = DocumentChoice(
        collection, None if filters is None else read_json_option("--filter", filters), sort
    )

    async def listed(backend: Backend) -> list[Wire]:
        return await all_pages("documents", limit, partial(backend.list_documents, wanted))

    from ragstone.entrypoints.cli.show import document_table

    loaded = load_settings(context, home)
    found = with_backend(loaded, listed)
    if as_json:
        print_json({"documents": found})
    elif not found:
        print("No documents yet; `ragstone add PATH` adds some.")
    else:
        console().print(document_table(found))


@app.command("show")
def show_document(
    context: typer.Context,
    document_id: Annotated[str, typer.Argument(help="The document's id.")],
    start: Annotated[int, typer.Option(min=0, help="First character of the text shown.")] = 0,
    end: Annotated[int | None, typer.Option(help="Character after the last.")] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show a document and the beginning of its text, or the span asked for."""

    async def shown(backend: Backend) -> tuple[Wire, Wire]:
        document = await backend.get_document(document_id)
        return document, await backend.read_document(document_id, start, start + 2000 if end is None else end)

    from ragstone.entrypoints.cli.show import document_card

    document, passage = with_backend(load_settings(context, home), shown)
    if as_json:
        print_json({"document": document, "passage": passage})
    else:
        document_card(console(), document, passage)


@app.command("remove")
def remove_documents(
    context: typer.Context,
    document_ids: Annotated[list[str] | None, typer.Argument(help="Ids of documents.")] = None,
    filters: Annotated[
        str | None, typer.Option("--filter", metavar="JSON", help="Remove what a metadata filter matches.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", help="Remove the document that came from this path or URL.")
    ] = None,
    collection: Annotated[
        str, typer.Option("-c", "--collection", help="Where --filter and --source look.")
    ] = "default",
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Remove documents; when this returns, their text cannot be found any more.

    Examples:

        ragstone docs remove 0192f0c4-6a6e-7cc1-9d2e-3f1f5a0c9b11

        ragstone docs remove --source /old/file.md

        ragstone docs remove --filter '{"type": "lt", "key": "year", "value": 2020}'
    """
    from ragstone.entrypoints.cli.show import removal
    from ragstone.errors import InvalidRequest

    if not document_ids and filters is None and source is None:
        raise InvalidRequest("Name at least one document id, or give a --filter or a --source.")

    async def removed(backend: Backend) -> list[Wire]:
        done = [await backend.remove_document(document_id) for document_id in document_ids or []]
        if filters is not None:
            done.append(await backend.remove_matching(collection, read_json_option("--filter", filters)))
        if source is not None:
            from_source: JsonValue = {"type": "eq", "key": "$source", "value": source}
            done.append(await backend.remove_matching(collection, from_source))
        return done

    done = with_backend(load_settings(context, home), removed)
    if as_json:
        print_json({"results": done})
        return
    for result in done:
        removal(console(), result)


def read_json_option(name: str, text: str) -> JsonValue:
    """The JSON value of an option.

    Raises:
        InvalidRequest: it is not JSON.
    """
    from ragstone.errors import InvalidRequest

    try:
        value: JsonValue = json.loads(text)
    except ValueError as error:
        raise InvalidRequest(f"{name} {text!r} is not JSON: {error}.") from error
    return value
