"""`ragstone add` and `ragstone docs`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
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
    with_backend,
)

if TYPE_CHECKING:
    from anyio import Semaphore
    from rich.progress import Progress, TaskID

    from ragstone.config import Loaded
    from ragstone.entrypoints.cli.backend import Backend
    from ragstone.ingest.load import FoundFile
    from ragstone.types import JsonValue

Wire = dict[str, object]

app = typer.Typer(help="List, show and remove documents.", no_args_is_help=True)

EXIT_SOME_FAILED = 1
MOST_INTERACTIVE_FILES = 10


@dataclass(slots=True)
class _Run:
    """One `ragstone add` on its way."""

    collection: str
    metadata: dict[str, JsonValue]
    max_file_bytes: int
    is_json: bool
    is_bulk: bool = False
    results: list[Wire] = field(default_factory=list)


def add(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Files and folders; folders are searched through.")],
    collection: Annotated[
        str, typer.Option("-c", "--collection", help="Where the documents go.")
    ] = "default",
    include: Annotated[
        list[str] | None, typer.Option("-i", "--include", metavar="GLOB", help="Only these, such as '*.md'.")
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("-x", "--exclude", metavar="GLOB", help="Not these, such as 'drafts/'."),
    ] = None,
    metadata: Annotated[
        list[str] | None, typer.Option("-m", "--metadata", metavar="KEY=VALUE", help="To filter by later.")
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Add files and folders; what was added before from the same path is replaced when it changed.

    Examples:

        ragstone add docs/ --include '*.md'

        ragstone add report.pdf -c finance -m year=2024

    Exits with 1 when a file could not be taken in; the others are.
    """
    from ragstone.ingest.load import walk

    loaded = load_settings(context, home)
    quiet_logs(loaded)
    run = _Run(collection, _metadata(metadata or []), loaded.settings.ingest.max_file_bytes, as_json)
    found = list(walk(paths, include or (), exclude or ()))
    run.is_bulk = len(found) > MOST_INTERACTIVE_FILES
    if not found:
        print("No file found there; hidden files and what .gitignore names are passed over.", file=sys.stderr)
    try:
        run_async(_add_all(loaded, run, found))
    finally:
        _summarise(run, len(found))
    if any(result["status"] == "failed" for result in run.results):
        raise typer.Exit(EXIT_SOME_FAILED)


@app.command("list")
def list_documents(
    context: typer.Context,
    collection: Annotated[str | None, typer.Option("-c", "--collection", help="Only of this one.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """List documents, oldest first."""

    async def listed(backend: Backend) -> list[Wire]:
        found: list[Wire] = []
        cursor: str | None = None
        while len(found) < limit:
            page = await backend.list_documents(collection, cursor, min(200, limit - len(found)))
            documents, cursor = page["documents"], page["next_cursor"]  # type: ignore[assignment]
            found += documents  # type: ignore[arg-type]
            if cursor is None:
                break
        return found

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


async def _add_all(loaded: Loaded, run: _Run, found: list[FoundFile]) -> None:
    import anyio

    from ragstone.entrypoints.cli.backend import open_backend

    async with open_backend(loaded) as backend:
        limiter = anyio.Semaphore(loaded.settings.ingest.concurrency)
        with _progress(is_shown=not run.is_json) as progress:
            task = progress.add_task("Adding", total=len(found))
            async with anyio.create_task_group() as group:
                for file in found:
                    await limiter.acquire()
                    group.start_soon(_add_one, backend, run, file, limiter, progress, task)


async def _add_one(
    backend: Backend, run: _Run, found: FoundFile, limiter: Semaphore, progress: Progress, task: TaskID
) -> None:
    from anyio import to_thread

    from ragstone.entrypoints.cli.backend import AddFile
    from ragstone.errors import RagstoneError
    from ragstone.ingest.load import read

    path = found.source
    try:
        file = await to_thread.run_sync(read, found, run.max_file_bytes)
        done = await backend.add(
            AddFile(file, path, run.collection, metadata=run.metadata, is_bulk=run.is_bulk)
        )
        result: Wire = {"path": path, **done}
    except RagstoneError as error:
        result = {"path": path, "status": "failed", "error": {"code": error.code, "message": error.message}}
    finally:
        limiter.release()
    run.results.append(result)
    progress.advance(task)
    if not run.is_json:
        _report(progress, _line(found.name, result))


def _progress(*, is_shown: bool) -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # The bar stands below the results on a terminal, and alone on stderr when they go to a file or pipe.
    output = console(stderr=not sys.stdout.isatty())
    return Progress(*columns, console=output, disable=not is_shown, transient=True, redirect_stdout=False)


def _report(progress: Progress, line: str) -> None:
    if progress.console.stderr:
        console().print(line)
    else:
        progress.console.print(line)


def _line(name: str, result: Wire) -> str:
    from rich.markup import escape

    status = str(result["status"])
    if status == "failed":
        error = result["error"]
        reason = error["message"] if isinstance(error, dict) else ""
        return f"[red]failed[/]     {escape(name)}: {escape(str(reason))}"
    colour = {"added": "green", "replaced": "cyan", "updated": "cyan"}.get(status, "dim")
    notes = result.get("warnings") or []
    noted = "".join(f"\n           [yellow]note[/] {escape(str(note))}" for note in notes)  # type: ignore[attr-defined]
    count = result["chunk_count"]
    chunks = "1 chunk" if count == 1 else f"{count} chunks"
    return f"[{colour}]{status:<10}[/] {escape(name)} [dim]({chunks})[/]{noted}"


def _summarise(run: _Run, total: int) -> None:
    counts = Counter(str(result["status"]) for result in run.results)
    left = total - len(run.results)
    if run.is_json:
        print_json({"results": run.results, "summary": dict(counts) | {"not_done": left}})
        return
    parts = [f"{count} {status}" for status, count in sorted(counts.items())]
    if left:
        parts.append(f"{left} not begun")
    if parts:
        print(f"{', '.join(parts)} in collection {run.collection!r}.", file=sys.stderr)


def _metadata(pairs: list[str]) -> dict[str, JsonValue]:
    from ragstone.errors import InvalidRequest

    metadata: dict[str, JsonValue] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise InvalidRequest(f"--metadata {pair!r} is not KEY=VALUE, such as year=2024.")
        try:
            metadata[key] = json.loads(value)
        except ValueError:
            metadata[key] = value
    return metadata
