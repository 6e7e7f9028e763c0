"""`ragstone add --watch`, `ragstone add --crawl` and `ragstone sources watch`: syncs done by this process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ragstone.entrypoints import wire_work
from ragstone.entrypoints.cli.add import is_url
from ragstone.entrypoints.cli.context import (
    EXIT_SOME_FAILED,
    console,
    own_engine,
    print_json,
    quiet_logs,
    run_async,
)
from ragstone.entrypoints.cli.show import run_line
from ragstone.errors import InvalidRequest, PathNotFound
from ragstone.ingest.sources.catalogue import FolderEntry, WebEntry

if TYPE_CHECKING:
    from ragstone.config import Loaded
    from ragstone.store.sources import SourceRun


def watch_folders(
    loaded: Loaded, paths: Sequence[str], shared: Mapping[str, object], *, as_json: bool
) -> None:
    """Follow folders until interrupted; their documents have the sources that a plain `add` gives them.

    Raises:
        InvalidRequest: a page is among them.
        PathNotFound: a folder is not there.
    """
    entries = []
    for path in paths:
        if is_url(path):
            raise InvalidRequest(
                f"{path!r} is no folder; --watch follows folders. Pages are synced by schedule."
            )
        place = Path(path).expanduser().resolve()
        if not place.is_dir():
            raise PathNotFound(f"There is no folder {path!r} to watch.", path=path)
        entries.append(FolderEntry.model_validate({**shared, "name": f"add:{place}", "path": place}))
    watch_entries(loaded, entries, is_trusted=True, as_json=as_json)


def watch_entries(loaded: Loaded, entries: Sequence[FolderEntry], *, is_trusted: bool, as_json: bool) -> None:
    """Follow folders until interrupted, with a line for each sync."""

    def tell(run: SourceRun) -> None:
        _tell(run, as_json=as_json)

    async def watch() -> None:
        async with own_engine(loaded) as engine:
            await asyncio.gather(
                *(engine.sources.follow(entry, tell, is_trusted=is_trusted) for entry in entries)
            )

    quiet_logs(loaded)
    run_async(watch())


def crawl_sites(loaded: Loaded, urls: Sequence[str], shared: Mapping[str, object], *, as_json: bool) -> None:
    """Crawl sites once; pages that have not changed since the last crawl are not fetched whole.

    Raises:
        InvalidRequest: a file or folder is among them.
    """
    for url in urls:
        if not is_url(url):
            raise InvalidRequest(f"{url!r} is no URL; --crawl takes http:// and https:// addresses.")
    entries = [WebEntry.model_validate({**shared, "name": f"add:{url}", "url": url}) for url in urls]

    async def crawl() -> list[SourceRun]:
        async with own_engine(loaded) as engine:
            return [await engine.sources.sync_entry(entry, is_trusted=True) for entry in entries]

    runs = run_async(crawl())
    for run in runs:
        _tell(run, as_json=as_json)
    if any(run.state != "done" or run.failures for run in runs):
        raise typer.Exit(EXIT_SOME_FAILED)


def _tell(run: SourceRun, *, as_json: bool) -> None:
    shown = wire_work.source_run(run)
    if as_json:
        print_json(shown)
    else:
        console().print(run_line(shown))
