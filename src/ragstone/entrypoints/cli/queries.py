"""`ragstone queries`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from ragstone.entrypoints.cli.context import (
    HomeOption,
    JsonOption,
    console,
    load_settings,
    print_json,
    with_backend,
)

app = typer.Typer(help="Look at what was asked, and forget it.", no_args_is_help=True)

Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=100, help="How many at most.")]


@dataclass(frozen=True, slots=True)
class Listing:
    """How a list of questions is shown: its name on the wire, its columns, and what an empty one says."""

    name: str
    columns: tuple[str, ...]
    nothing: str


POPULAR = Listing("queries", ("count", "query", "last_asked_at"), "No such question was asked yet.")
COMPLETIONS = Listing("completions", ("count", "query"), "No question begins so yet.")
SIMILAR = Listing("queries", ("similarity", "count", "query"), "No question like it was asked yet.")


@app.command("popular")
def popular(
    context: typer.Context,
    limit: Limit = 10,
    days: Annotated[int | None, typer.Option(min=1, help="Count the last days only.")] = None,
    prefix: Annotated[str | None, typer.Option(help="Only questions that begin so.")] = None,
    text: Annotated[str | None, typer.Option("--text", help="Only questions with this in them.")] = None,
    collection: Annotated[
        str | None, typer.Option("-c", "--collection", help="Only those asked of this one last.")
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """List the questions that were asked most.

    Example: ragstone queries popular --days 7
    """
    from ragstone.entrypoints.cli.query_backend import PopularChoice

    wanted = PopularChoice(limit, days, prefix, text, collection)
    found = with_backend(load_settings(context, home), lambda backend: backend.queries.popular(wanted))
    _print(found, POPULAR, as_json)


@app.command("complete")
def complete(
    context: typer.Context,
    prefix: Annotated[str, typer.Argument(help="The beginning of a question.")],
    limit: Limit = 10,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Complete the beginning of a question to those that were asked most."""
    loaded = load_settings(context, home)
    found = with_backend(loaded, lambda backend: backend.queries.complete(prefix, limit))
    _print(found, COMPLETIONS, as_json)


@app.command("similar")
def similar(
    context: typer.Context,
    question: Annotated[str, typer.Argument(help="A question.")],
    limit: Limit = 10,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Find questions that were asked and are like this one."""
    loaded = load_settings(context, home)
    found = with_backend(loaded, lambda backend: backend.queries.similar(question, limit))
    _print(found, SIMILAR, as_json)


@app.command("statistics")
def statistics(
    context: typer.Context,
    days: Annotated[int | None, typer.Option(min=1, help="How many days, with today.")] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Count what was asked, by day."""
    from ragstone.entrypoints.cli.show_queries import query_table

    found = with_backend(load_settings(context, home), lambda backend: backend.queries.statistics(days))
    if as_json:
        print_json(found)
        return
    console().print(query_table(found, "by_day", ("date", "asked", "distinct", "answers", "without_hits")))
    print(
        f"{found['asked']} asked on the last {found['days']} days, {found['without_hits']} without a hit; "
        f"{found['tracked']} different questions kept."
    )


@app.command("erase")
def erase(
    context: typer.Context,
    question: Annotated[str | None, typer.Argument(help="One question; with --all every one.")] = None,
    client: Annotated[str | None, typer.Option(help="What this client asked.")] = None,
    user: Annotated[str | None, typer.Option(help="What this user asked.")] = None,
    is_all: Annotated[bool, typer.Option("--all", help="Every question.")] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Forget one question, what somebody asked, or all: no process has it any more afterwards.

    Example: ragstone queries erase "Who is ill today?"

    Example: ragstone queries erase --client 10.1.2.3
    """
    from ragstone.entrypoints.cli.query_backend import ErasedKind
    from ragstone.errors import InvalidRequest

    given: list[tuple[ErasedKind, str | None]] = [
        ("q", question),
        ("client", client),
        ("user", user),
        ("all", "" if is_all else None),
    ]
    named = [(kind, name) for kind, name in given if name is not None]
    if len(named) != 1:
        raise InvalidRequest("Name the question to erase, a --client or a --user, or say --all.")
    kind, name = named[0]
    found = with_backend(load_settings(context, home), lambda backend: backend.queries.erase(kind, name))
    if as_json:
        print_json(found)
        return
    count = found["erased"]
    print(f"{count} question{'' if count == 1 else 's'} erased, {found['logged']} rows of the log removed.")


def _print(found: dict[str, object], listing: Listing, as_json: bool) -> None:
    from ragstone.entrypoints.cli.show_queries import query_table

    if as_json:
        print_json(found)
    elif not found[listing.name]:
        print(listing.nothing)
    else:
        console().print(query_table(found, listing.name, listing.columns))
