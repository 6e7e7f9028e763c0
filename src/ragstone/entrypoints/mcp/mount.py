"""The MCP server inside the HTTP application, built when the first assistant calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup, TaskStatus

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer
    from starlette.types import ASGIApp, Receive, Scope, Send

    from ragstone.runtime.engine import Engine

PATH = "/mcp"


class McpMount:
    """An ASGI application that answers at `PATH`.

    The SDK takes half a second to import, a fifth of a cold start (2 cores, November 2026), and most
    servers are asked their first question by somebody else.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._app: ASGIApp | None = None
        self._building = anyio.Lock()
        self._tasks: TaskGroup | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The time in which calls are taken; sessions end with it."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call of an assistant."""
        app = self._app or await self._built()
        await app(scope, receive, send)

    async def _built(self) -> ASGIApp:
        async with self._building:
            if self._app is None:
                if self._tasks is None:
                    raise RuntimeError("MCP was called outside the lifespan of its application")
                self._app = await self._tasks.start(self._serve)
            return self._app

    async def _serve(self, *, task_status: TaskStatus[ASGIApp]) -> None:
        """Hold the SDK's sessions open until cancelled; they belong to the task that entered them."""
        server, app = await to_thread.run_sync(_build, self._engine)
        async with server.session_manager.run():
            task_status.started(app)
            await anyio.sleep_forever()


def _build(engine: Engine) -> tuple[MCPServer[None], ASGIApp]:
    """Half a second, most of it imports; blocks."""
    from ragstone.entrypoints.mcp.server import build_mcp_server, http_app

    server = build_mcp_server(engine)
    return server, http_app(server, PATH, engine.settings.security.allowed_hosts)
