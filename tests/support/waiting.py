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
DAY_S = 86_400
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


def wait_for_a_day(needed_s: float) -> None:
    """Until so much is left of the day (UTC): what is counted by days is all of one then."""
    wait_until(lambda: True if DAY_S - time.time() % DAY_S > needed_s else None, needed_s + 5, pause_s=1.0)


async def turns() -> None:
    """Until everybody who can has gone on."""
    for _ in range(TURNS):
        await asyncio.sleep(0)
