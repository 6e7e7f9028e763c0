"""`ragstone trace`."""

from __future__ import annotations

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


def trace(
    context: typer.Context,
    answer_id: Annotated[str, typer.Argument(help="An answer's id, or the id of its request.")],
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Explain an answer: where its time went, what was found, read, cached and cited.

    Example: ragstone trace 0192f0c4-6a6e-7cc1-9d2e-3f1f5a0c9b11
    """
    found = with_backend(load_settings(context, home), lambda backend: backend.queries.trace(answer_id))
    if as_json:
        print_json(found)
        return
    from ragstone.entrypoints.cli.show_trace import answer_trace

    answer_trace(console(), found)
