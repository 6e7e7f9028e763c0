"""The official client on both transports, over one home."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from mcp.types import CallToolResult, TextContent

from mcp import Client, StdioServerParameters
from tests.support.process import Server, environment, running_server

Wire = dict[str, Any]
Connect = Callable[[], AbstractAsyncContextManager[Client]]


@pytest.fixture(scope="session")
def mcp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Server]]:
    """A home and the server on it."""
    home = tmp_path_factory.mktemp("mcp") / "home"
    with running_server(home) as server:
        yield home, server


@pytest.fixture(params=["stdio", "streamable HTTP"])
def connect(request: pytest.FixtureRequest, mcp_server: tuple[Path, Server]) -> Connect:
    """A connection by either transport, to the same documents."""
    home, server = mcp_server
    return over_stdio(home) if request.param == "stdio" else over_http(server)


@pytest.fixture
def collection() -> str:
    """A collection name that no other test uses."""
    return f"m-{uuid4().hex[:12]}"


def over_stdio(home: Path) -> Connect:
    """`ragstone mcp`, started by the client as an assistant does."""
    words = ["-m", "ragstone.entrypoints.cli.main", "mcp"]
    parameters = StdioServerParameters(command=sys.executable, args=words, env=environment(home, None))

    @asynccontextmanager
    async def connected() -> AsyncIterator[Client]:
        async with Client(parameters, read_timeout_seconds=60) as client:
            yield client

    return connected


def over_http(server: Server) -> Connect:
    """`/mcp` of a running server."""

    @asynccontextmanager
    async def connected() -> AsyncIterator[Client]:
        async with Client(f"{server.url}/mcp", read_timeout_seconds=60) as client:
            yield client

    return connected


async def call(client: Client, tool: str, **arguments: object) -> Wire:
    """The structured result of a tool that succeeds."""
    result = await client.call_tool(tool, arguments)
    assert isinstance(result, CallToolResult)
    assert not result.is_error, result.content
    return cast("Wire", result.structured_content)


async def complaint(client: Client, tool: str, **arguments: object) -> str:
    """What a tool that fails says to the assistant."""
    result = await client.call_tool(tool, arguments)
    assert isinstance(result, CallToolResult)
    assert result.is_error
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text
