"""What every command shares: where the home is, how settings come together, running async work."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar, cast
from uuid import uuid4

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from ragstone.config import Loaded
    from ragstone.entrypoints.cli.analytics_backend import AnalyticsCalls
    from ragstone.entrypoints.cli.backend import Backend
    from ragstone.runtime.engine import Engine
    from ragstone.telemetry.spans import Tracing

T = TypeVar("T")
OpenT = TypeVar("OpenT")

EXIT_SOME_FAILED = 1
"""Some of what was asked for could not be done; the rest is."""
WIDTH_OF_PIPES = 10_000
"""Columns where output is no terminal: no row of a table is folded."""

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", metavar="DIR", help="Where everything lies; $RAGSTONE_HOME, else ~/.ragstone."),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Settings; HOME/ragstone.toml when left out.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@dataclass(frozen=True, slots=True)
class Globals:
    """Options given before the command."""

    home: Path | None = None
    config: Path | None = None


def load_settings(
    context: typer.Context,
    home: Path | None = None,
    flags: Mapping[str, str | int | float | bool | None] | None = None,
) -> Loaded:
    """The settings for this command; `--home` may stand before or after its name.

    Raises:
        InvalidSetting: a setting is unknown or out of range.
    """
    from ragstone.config import load
    from ragstone.telemetry.caller import Caller, set_caller

    set_caller(Caller("cli", uuid4().hex, _command_name(context)))
    given = context.obj if isinstance(context.obj, Globals) else Globals()
    return load(home or given.home, config_file=given.config, flags=flags)


def _command_name(context: typer.Context) -> str:
    """The command that runs, such as `ragstone queries popular`, without what was given to it."""
    names = [] if context.parent is None else [str(context.info_name)]
    parent = context.parent
    while parent is not None and parent.parent is not None:
        names.insert(0, str(parent.info_name))
        parent = parent.parent
    return " ".join(["ragstone", *names])


def quiet_logs(loaded: Loaded) -> None:
    """Logs of a one-off command: warnings and worse, readable."""
    from ragstone.telemetry.logs import start_logs

    start_logs(loaded.settings, is_brief=True)


def run_async(work: Coroutine[object, object, T]) -> T:
    """Run a command's work to its end on uvloop; Ctrl-C cancels it, which closes everything in order."""
    import asyncio

    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def with_backend(loaded: Loaded, work: Callable[[Backend], Awaitable[T]]) -> T:
    """The result of `work` on the running server of the home, or on an engine of our own."""
    from ragstone.entrypoints.cli.backend import open_backend

    return _with(loaded, lambda tracing: open_backend(loaded, tracing), work)


def with_log(loaded: Loaded, work: Callable[[AnalyticsCalls], Awaitable[T]]) -> T:
    """The result of `work` on the log: the running server's, or the file's, without an engine."""
    from ragstone.entrypoints.cli.backend import open_analytics

    return _with(loaded, lambda _: open_analytics(loaded), work)


def _with(
    loaded: Loaded,
    open_: Callable[[Tracing], AbstractAsyncContextManager[OpenT]],
    work: Callable[[OpenT], Awaitable[T]],
) -> T:
    from ragstone.telemetry.caller import present_caller
    from ragstone.telemetry.tracing import open_tracing

    async def run() -> T:
        with (
            open_tracing(loaded.settings.telemetry) as tracing,
            tracing.door(present_caller().client),
        ):
            async with open_(tracing) as opened:
                return await work(opened)

    quiet_logs(loaded)
    return run_async(run())


def run_on(work: Coroutine[object, object, None]) -> None:
    """Run the work of a command that serves others until it is told to end: none of it is the command's."""
    from ragstone.telemetry.caller import leave_request

    leave_request()
    run_async(work)


@asynccontextmanager
async def own_engine(loaded: Loaded) -> AsyncIterator[Engine]:
    """An engine of this command's own, with its traces."""
    from ragstone.runtime.engine import open_engine
    from ragstone.telemetry.tracing import open_tracing

    with open_tracing(loaded.settings.telemetry) as tracing:
        async with open_engine(loaded, tracing=tracing) as engine:
            yield engine


LARGEST_PAGE = 200

ReadPage = Callable[[str | None, int], Awaitable[dict[str, object]]]
"""A page from a cursor on, of so many items at most."""


async def all_pages(name: str, limit: int, read: ReadPage) -> list[dict[str, object]]:
    """Up to `limit` items, which pages hold under `name`."""
    found: list[dict[str, object]] = []
    cursor: str | None = None
    while len(found) < limit:
        page = await read(cursor, min(LARGEST_PAGE, limit - len(found)))
        found += cast("list[dict[str, object]]", page[name])
        cursor = cast("str | None", page["next_cursor"])
        if cursor is None:
            break
    return found


def print_json(value: object) -> None:
    """One JSON document on stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def console(*, stderr: bool = False) -> Console:
    """A rich console; plain where output is no terminal, and a row of a table one line there, for grep."""
    from rich.console import Console

    is_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    width = None if is_terminal else WIDTH_OF_PIPES
    return Console(stderr=stderr, highlight=False, soft_wrap=not is_terminal, width=width)
