"""Work that must not stop half way because its caller left."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

import anyio

T = TypeVar("T")


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
