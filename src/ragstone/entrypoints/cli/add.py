"""`ragstone add`: files, folders, pages; once, or for as long as it runs."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, TypedDict, cast

import typer

from ragstone.entrypoints.cli.context import (
    EXIT_SOME_FAILED,
    HomeOption,
    JsonOption,
    console,
    load_settings,
    print_json,
    quiet_logs,
    run_async,
)

if TYPE_CHECKING:
    from anyio import Semaphore
    from rich.progress import Progress, TaskID

    from ragstone.config import Loaded
    from ragstone.entrypoints.cli.backend import Backend
    from ragstone.entrypoints.wire import Wire
    from ragstone.ingest.load import FoundFile
    from ragstone.types import JsonValue

MOST_INTERACTIVE_FILES = 10


IncludeOption = Annotated[
    list[str] | None, typer.Option("-i", "--include", metavar="GLOB", help="Only these, such as '*.md'.")
]
ExcludeOption = Annotated[
    list[str] | None, typer.Option("-x", "--exclude", metavar="GLOB", help="Not these, such as 'drafts/'.")
]
MetadataOption = Annotated[
    list[str] | None, typer.Option("-m", "--metadata", metavar="KEY=VALUE", help="To filter by later.")
]


class _Shared(TypedDict):
    """What holds for every document of one `ragstone add`."""

    collection: str
    metadata: dict[str, JsonValue]
    include: Sequence[str]
    exclude: Sequence[str]


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
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH|URL...", help="Files, folders (searched through) and pages."),
    ],
    collection: Annotated[
        str, typer.Option("-c", "--collection", help="Where the documents go.")
    ] = "default",
    include: IncludeOption = None,
    exclude: ExcludeOption = None,
    metadata: MetadataOption = None,
    is_watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Go on following the folders until Ctrl-C.")
    ] = False,
    is_crawl: Annotated[
        bool, typer.Option("--crawl", help="Take the pages of its site that a page leads to, too.")
    ] = False,
    depth: Annotated[int, typer.Option(min=0, help="With --crawl: clicks away from the first page.")] = 3,
    max_pages: Annotated[int, typer.Option(min=1, help="With --crawl: pages at most.")] = 500,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Add files, folders and pages; what was added before from the same place is replaced when it changed.

    Examples:

        ragstone add docs/ --include '*.md'

        ragstone add report.pdf -c finance -m year=2024

        ragstone add https://example.org/manual/ --crawl --depth 2

        ragstone add notes/ --watch

    Exits with 1 when a document could not be taken in; the others are.
    """
    loaded = load_settings(context, home)
    quiet_logs(loaded)
    shared = _Shared(
        collection=collection,
        metadata=_metadata(metadata or []),
        include=include or (),
        exclude=exclude or (),
    )
    if is_watch or is_crawl:
        from ragstone.entrypoints.cli.follow import crawl_sites, watch_folders

        if is_watch:
            watch_folders(loaded, paths, shared, as_json=as_json)
        else:
            crawl_sites(loaded, paths, {**shared, "depth": depth, "max_pages": max_pages}, as_json=as_json)
        return
    _add_once(loaded, paths, shared, as_json=as_json)


def _add_once(loaded: Loaded, paths: list[str], shared: _Shared, *, as_json: bool) -> None:
    from ragstone.errors import InvalidRequest
    from ragstone.ingest.load import walk
    from ragstone.store.collections import check_name

    check_name(shared["collection"])
    for path in paths:
        if "://" in path and not is_url(path):
            raise InvalidRequest(f"{path!r} cannot be added; pages begin with http:// or https://.")
    limit = loaded.settings.ingest.max_file_bytes
    run = _Run(shared["collection"], shared["metadata"], limit, as_json)
    files = [path for path in paths if not is_url(path)]
    found: list[FoundFile | str] = list(walk(files, shared["include"], shared["exclude"]))
    found += [path for path in paths if is_url(path)]
    run.is_bulk = len(found) > MOST_INTERACTIVE_FILES
    if not found:
        print("No file found there; hidden files and what .gitignore names are passed over.", file=sys.stderr)
    try:
        run_async(_add_all(loaded, run, found))
    finally:
        _summarise(run, len(found))
    if any(result["status"] == "failed" for result in run.results):
        raise typer.Exit(EXIT_SOME_FAILED)


def is_url(path: str) -> bool:
    """Whether a page is meant, not a file."""
    return path.lower().startswith(("http://", "https://"))


async def _add_all(loaded: Loaded, run: _Run, found: list[FoundFile | str]) -> None:
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
    backend: Backend, run: _Run, found: FoundFile | str, limiter: Semaphore, progress: Progress, task: TaskID
) -> None:
    from ragstone.errors import RagstoneError

    path = found if isinstance(found, str) else found.source
    try:
        result: Wire = {"path": path, **await _sent(backend, run, found)}
    except RagstoneError as error:
        result = {"path": path, "status": "failed", "error": {"code": error.code, "message": error.message}}
    finally:
        limiter.release()
    run.results.append(result)
    progress.advance(task)
    if not run.is_json:
        _report(progress, _line(found if isinstance(found, str) else found.name, result))


async def _sent(backend: Backend, run: _Run, found: FoundFile | str) -> Wire:
    from anyio import to_thread

    from ragstone.entrypoints.cli.backend import AddFile
    from ragstone.ingest.load import read

    if isinstance(found, str):
        return await backend.fetch(found, run.collection, run.metadata)
    file = await to_thread.run_sync(read, found, run.max_file_bytes)
    return await backend.add(
        AddFile(file, found.source, run.collection, metadata=run.metadata, is_bulk=run.is_bulk)
    )


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
    notes = cast("list[str]", result.get("warnings") or [])
    noted = "".join(f"\n           [yellow]note[/] {escape(note)}" for note in notes)
    count = result["chunk_count"]
    chunks = "1 chunk" if count == 1 else f"{count} chunks"
    parts = cast("list[Wire]", result.get("attachments") or [])
    attached = "".join(f"\n           [dim]with[/] {escape(str(part['name']))}" for part in parts)
    return f"[{colour}]{status:<10}[/] {escape(name)} [dim]({chunks})[/]{attached}{noted}"


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
