"""Work that must not stop half way because its caller left, and tasks that must end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import TypeVar

import anyio

T = TypeVar("T")

CANCELLED_AGAIN_S = 5.0
"""Longer than what a task does at its end."""


async def run_to_end(work: Coroutine[object, object, T]) -> T:
    """The result of `work`, which goes on when the caller is cancelled; the cancellation is raised after it.

    Both kinds are held off: anyio's scopes by a shield, a task's own `cancel()` by waiting again.
    """
    task = asyncio.ensure_future(work)
    is_cancelled = False
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                is_cancelled = True
    if is_cancelled:
        task.exception()  # looked at, so that nobody warns; the caller is gone
        raise asyncio.CancelledError
    return task.result()


async def end_tasks(tasks: Iterable[asyncio.Task[object]]) -> None:
    """Cancel tasks that go on for ever, and wait until they have ended; what they raise is looked at.

    A cancel may be lost: before Python 3.12 `asyncio.wait_for` drops one that comes in the turn in which what
    it waits for ends, and libraries wait with it. So it is said again until it is heard.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        ended, pending = await asyncio.wait(pending, timeout=CANCELLED_AGAIN_S)
        for task in ended:
            if not task.cancelled():
                task.exception()
