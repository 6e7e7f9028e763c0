"""What every request through the Python door has: a caller of its own, and a trace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

import anyio

from ragstone.answer.events import AnswerEvent
from ragstone.telemetry.caller import Caller, present_caller, set_caller

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectSendStream

    from ragstone.runtime.engine import Engine
    from ragstone.types import AnswerRequest


@contextmanager
def door(engine: Engine, name: str) -> Iterator[None]:
    """Around one request; the program's own context is as before afterwards."""
    before = present_caller()
    set_caller(Caller("python", uuid4().hex))
    try:
        with engine.tracing.door(name):
            yield
    finally:
        set_caller(before)


async def stream_through_door(engine: Engine, request: AnswerRequest) -> AsyncGenerator[AnswerEvent, None]:
    """The events of one answer, made in a task of its own.

    A generator runs in the context of whoever asks it for the next event: what the program does between two
    events would become part of our trace, and another task may close it.
    """
    sender, receiver = anyio.create_memory_object_stream[AnswerEvent](0)
    making = asyncio.create_task(_make(engine, request, sender))
    try:
        async for event in receiver:
            yield event
        await making
    finally:
        making.cancel()
        await asyncio.gather(making, return_exceptions=True)
        receiver.close()


async def _make(engine: Engine, request: AnswerRequest, sender: MemoryObjectSendStream[AnswerEvent]) -> None:
    with door(engine, "ragstone ask"):
        async with sender, aclosing(engine.answers.stream(request)) as events:
            async for event in events:
                await sender.send(event)
