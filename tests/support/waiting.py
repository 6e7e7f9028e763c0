"""Waiting for what another process does, always with an end."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

T = TypeVar("T")

PAUSE_S = 0.05
TURNS = 50
"""Of the event loop: enough for everything that is ready to go on."""


def wait_until(look: Callable[[], T | None], limit_s: float, pause_s: float = PAUSE_S) -> T:
    """What `look` returns as soon as it is not None; asked again after a pause."""
    give_up_at = time.monotonic() + limit_s
    while time.monotonic() < give_up_at:
        if (found := look()) is not None:
            return found
        threading.Event().wait(pause_s)
    raise TimeoutError(f"nothing happened within {limit_s:g} s")


async def until(look: Callable[[], Awaitable[bool]], limit_s: float) -> None:
    """Until `look` says True, asked over and over on the event loop."""
    with anyio.fail_after(limit_s):
        for _ in iter(int, 1):  # without end
            if await look():
                return
            await anyio.sleep(PAUSE_S)


async def turns() -> None:
    """Until everybody who can has gone on."""
    for _ in range(TURNS):
        await asyncio.sleep(0)
