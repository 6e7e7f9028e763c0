"""`ragstone cache`."""

from __future__ import annotations

import typer

from ragstone.entrypoints.cli.warm import warm

app = typer.Typer(help="Warm the caches.", no_args_is_help=True)
app.command("warm")(warm)


@app.callback()
def _group() -> None:
    """Warm the caches."""
