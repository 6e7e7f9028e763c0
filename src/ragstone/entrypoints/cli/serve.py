"""`ragstone serve` and `ragstone mcp`."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Annotated

import typer

from ragstone.entrypoints.cli.context import (
    HomeOption,
    load_settings,
    own_engine,
    quiet_logs,
    run_async,
    run_on,
)

if TYPE_CHECKING:
    from ragstone.config import Loaded
    from ragstone.operate.drain import Drain

UNREAD_S, LOOK_S = 2.0, 0.05
"""How long the last messages may stay unread; how often it is looked whether calls have ended."""


def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on; loopback only.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    home: HomeOption = None,
) -> None:
    """Serve HTTP and MCP until Ctrl-C.

    Example: ragstone serve --port 8321
    """
    from ragstone.entrypoints.http.serve import serve as serve_http
    from ragstone.telemetry.logs import start_logs

    loaded = load_settings(context, home, {"server.host": host, "server.port": port})
    start_logs(loaded.settings)
    run_on(serve_http(loaded, _announce))


def mcp(context: typer.Context, home: HomeOption = None) -> None:
    """Serve MCP on stdin and stdout, for assistants that start their servers themselves.

    Example, for an assistant's configuration: {"command": "ragstone", "args": ["mcp"]}
    """
    loaded = load_settings(context, home)
    quiet_logs(loaded)
    run_async(_serve_stdio(loaded))


async def _serve_stdio(loaded: Loaded) -> None:
    """Serve until stdin or a signal ends it: what was noted is stored, what was started is ended."""
    from ragstone.entrypoints.mcp.server import build_mcp_server
    from ragstone.entrypoints.mcp.stdio import EndableInput
    from ragstone.operate.signals import on_end

    told = asyncio.Event()
    async with own_engine(loaded) as engine:
        with EndableInput(on_end=told.set) as given:

            def stop() -> None:
                engine.drain.begin()
                given.end()
                told.set()

            on_end(stop)
            is_stuck = await _serve_until(told, build_mcp_server(engine).run_stdio_async(), engine.drain)
    if is_stuck:
        # All is stored and closed, but for a thread that nothing can end.
        os._exit(0)


async def _serve_until(told: asyncio.Event, serving: Coroutine[object, object, None], drain: Drain) -> bool:
    """Serve until told, and until the calls under way have ended; whether an unread message holds it then."""
    task, telling = asyncio.ensure_future(serving), asyncio.create_task(told.wait())
    await asyncio.wait([task, telling], return_when=asyncio.FIRST_COMPLETED)
    telling.cancel()
    # Their handlers were cancelled, but what has begun to be written goes to its end.
    give_up_at = time.monotonic() + drain.left_s
    while not task.done() and drain.in_flight and time.monotonic() < give_up_at:
        await asyncio.wait([task], timeout=LOOK_S)
    ended, _ = await asyncio.wait([task], timeout=UNREAD_S)
    if not ended:
        return True
    await task
    return False


def _announce(url: str) -> None:
    print(f"Ragstone answers at {url} (MCP at {url}/mcp); Ctrl-C stops it.", file=sys.stderr, flush=True)
