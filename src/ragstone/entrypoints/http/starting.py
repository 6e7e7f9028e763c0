"""Answers while the engine opens: alive, not ready. A migration or a rebuilt index may take minutes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ragstone.entrypoints.http.liveness import BODY as ALIVE, PATH as LIVE

READ_LIMIT_S = 5.0
LONGEST_HEAD = 65_536
NOT_READY = (
    b'{"type":"about:blank","title":"Service Unavailable","status":503,"code":"not_ready",'
    b'"detail":"The server is starting; try again in a moment.","phase":"starting","retryable":true}'
)


@asynccontextmanager
async def answering_while_starting(listener: socket.socket) -> AsyncIterator[None]:
    """The time in which every request but `/health/live` is answered with 503."""
    server = await asyncio.start_server(_answer, sock=listener.dup(), limit=LONGEST_HEAD)
    try:
        yield
    finally:
        server.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One request for each connection: the next one may be the server's own."""
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        async with asyncio.timeout(READ_LIMIT_S):
            head = await reader.readuntil(b"\r\n\r\n")
            words = head.split(b" ", 2)
            writer.write(_response(words[1] if len(words) > 1 else b""))
            await writer.drain()
    writer.close()


def _response(path: bytes) -> bytes:
    is_live = path.partition(b"?")[0] == LIVE.encode()
    status, kind, body = (
        (b"200 OK", b"application/json", ALIVE)
        if is_live
        else (b"503 Service Unavailable", b"application/problem+json", NOT_READY)
    )
    head = b"HTTP/1.1 %s\r\ncontent-type: %s\r\ncontent-length: %d\r\n" % (status, kind, len(body))
    return head + b"retry-after: 1\r\nconnection: close\r\n\r\n" + body
