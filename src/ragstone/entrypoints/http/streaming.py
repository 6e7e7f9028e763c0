"""Responses that come in events: server-sent ones, or NDJSON by `Accept`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass

import msgspec
from fastapi import Request
from starlette.responses import Response, StreamingResponse

NDJSON = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Frame:
    """An event as it goes over the wire; `seq` counts from 0."""

    name: str
    seq: int
    payload: Mapping[str, object]


async def stream(request: Request, frames: AsyncGenerator[Frame, None]) -> Response:
    """Events as they come. The first one is awaited here, so that a wrong request still gets its status."""
    is_ndjson = NDJSON in request.headers.get("accept", "")
    first = await anext(frames)  # what it raises has ended the generator, too

    async def body() -> AsyncIterator[bytes]:
        async with contextlib.aclosing(frames):
            yield _line(first, is_ndjson=is_ndjson)
            async for frame in frames:
                yield _line(frame, is_ndjson=is_ndjson)

    media_type = NDJSON if is_ndjson else "text/event-stream"
    return StreamingResponse(body(), media_type=media_type, headers={"Cache-Control": "no-store"})


def _line(frame: Frame, *, is_ndjson: bool) -> bytes:
    payload = msgspec.json.encode(frame.payload)
    if is_ndjson:
        return payload + b"\n"
    return b"event: %s\nid: %d\ndata: %s\n\n" % (frame.name.encode(), frame.seq, payload)
