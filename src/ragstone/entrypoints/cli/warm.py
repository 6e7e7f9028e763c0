"""`ragstone cache warm`."""

from __future__ import annotations

from typing import Annotated

import typer

from ragstone.entrypoints.cli.context import HomeOption, JsonOption, load_settings, print_json, with_backend


def warm(
    context: typer.Context,
    top: Annotated[
        int | None, typer.Option("--top", min=1, max=1000, help="How many questions; cache.warm_top.")
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Ask the most popular questions again, so that their answers lie in the server's caches.

    Without a server, only caches that outlive this command keep them.

    Example: ragstone cache warm --top 50
    """
    from ragstone.entrypoints.cli.show_queries import warming_line

    found = with_backend(load_settings(context, home), lambda backend: backend.queries.warm(top))
    if as_json:
        print_json(found)
    else:
        print(warming_line(found))
