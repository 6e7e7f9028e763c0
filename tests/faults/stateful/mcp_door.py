"""The MCP door: one tool call by the official client, for tests without an event loop."""

from __future__ import annotations

from typing import Any, cast

import anyio
import httpx2
from mcp.types import CallToolResult, TextContent

from mcp import Client
from tests.faults.stateful.history import Violation

LIMIT_S = 60.0
GONE = ("document_not_found", "collection_not_found")


def call_tool(url: str, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The structured result; `{"code": ...}` where the document is not there.

    Raises:
        httpx2.TransportError: the server went away meanwhile.
    """
    result: list[CallToolResult] = []

    async def call() -> None:
        async with Client(f"{url}/mcp", read_timeout_seconds=LIMIT_S) as client:
            answered = await client.call_tool(tool, arguments)
            assert isinstance(answered, CallToolResult)
            result.append(answered)

    try:
        anyio.run(call)
    except BaseException as error:
        if result:
            pass
        elif _is_server_alive(url):
            raise
        else:
            raise httpx2.ReadError(f"the server at {url} went away") from error
    if not result[0].is_error:
        return cast("dict[str, Any]", result[0].structured_content)
    (content,) = result[0].content
    assert isinstance(content, TextContent)
    code = next((code for code in GONE if f"[{code}]" in content.text), None)
    if code is None:
        raise Violation(f"{tool}: {content.text}")
    return {"code": code}


def _is_server_alive(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/health/live", trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False
