"""The `ragstone` command."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from ragstone.entrypoints.cli import (
    add,
    analytics,
    cache,
    chunks,
    collections,
    documents,
    evaluate,
    gpu,
    health,
    jobs,
    operate,
    queries,
    questions,
    serve,
    sources,
    statistics,
    support,
    traces,
)
from ragstone.entrypoints.cli.context import ConfigOption, Globals, HomeOption
from ragstone.entrypoints.garbage import collect_seldom
from ragstone.errors import InvalidRequest, NotFound, RagstoneError

HELP = """Documents in; hybrid search; answers with exact citations.

Begin with:

[bold]ragstone add docs/ README.md[/]
[bold]ragstone ask "How do I configure the port?"[/]
[bold]ragstone serve[/]

Commands talk to the running server of the home when there is one, and work without one otherwise."""

EXIT_FAILED, EXIT_USAGE, EXIT_NOT_FOUND, EXIT_INTERRUPTED = 1, 2, 3, 130

app = typer.Typer(
    name="ragstone",
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(name="add")(add.add)
app.command(name="search")(questions.search)
app.command(name="ask")(questions.ask)
app.command(name="trace")(traces.trace)
app.add_typer(documents.app, name="docs")
app.add_typer(chunks.app, name="chunks")
app.add_typer(collections.app, name="collections")
app.add_typer(jobs.app, name="jobs")
app.add_typer(sources.app, name="sources")
app.add_typer(queries.app, name="queries")
app.command(name="stats")(statistics.stats)
app.add_typer(analytics.app, name="analytics")
app.add_typer(cache.app, name="cache")
app.command(name="serve")(serve.serve)
app.command(name="worker")(jobs.worker)
app.command(name="mcp")(serve.mcp)
app.command(name="health")(health.health)
app.command(name="gpu")(gpu.gpu)
app.command(name="check")(operate.check)
app.command(name="doctor")(support.doctor)
app.command(name="support-bundle")(support.support_bundle)
app.add_typer(operate.config_app, name="config")
app.command(name="eval")(evaluate.evaluate)
app.command(name="bench")(evaluate.bench)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"ragstone {version('ragstone')}")
        raise typer.Exit


@app.callback()
def _global_options(
    context: typer.Context,
    home: HomeOption = None,
    config: ConfigOption = None,
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    del show_version
    context.obj = Globals(home, config)


def run() -> None:
    """Run the command line; errors become one sentence on stderr and an exit code."""
    collect_seldom()
    # OpenBLAS threads spin after a product, on the cores that the model needs next: 21 against 10 ms of
    # processor time a search at 5,000 chunks (2 cores, November 2026). Long products are split by
    # `index.vector.ParallelProducts`.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        app()
    except RagstoneError as error:
        _complain(error)
        sys.exit(_exit_code(error))
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader (head, less) has gone; there is nobody to tell.
        sys.stderr.close()
        sys.exit(EXIT_FAILED)


def _complain(error: RagstoneError) -> None:
    print(f"Error: {error.message} [{error.code}]", file=sys.stderr)


def _exit_code(error: RagstoneError) -> int:
    if isinstance(error, NotFound) or error.code.endswith("_not_found"):
        return EXIT_NOT_FOUND
    return (
        EXIT_USAGE if isinstance(error, InvalidRequest) or error.code.startswith("invalid_") else EXIT_FAILED
    )


if __name__ == "__main__":
    run()
