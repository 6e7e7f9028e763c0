"""Following a folder: told by the system where it tells, by polling elsewhere, by a rescan in any case."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread

_UNWATCHED = frozenset({".git", "node_modules", "__pycache__"})
_MOST_BATCHED = 20
"""Quiet times after which a batch of changes is looked at although more keep coming."""
_AWAY_S = 5.0
"""Pause before a folder that is not there is looked for again."""


@dataclass(frozen=True, slots=True)
class WatchLimits:
    """How soon and how often a watched folder is looked at."""

    debounce_s: float = 1.0
    rescan_s: float = 900.0
    is_polling: bool = False


async def follow(root: Path, look: Callable[[], Awaitable[None]], limits: WatchLimits) -> None:
    """Call `look` now, after every burst of changes below `root`, and every `rescan_s`; never returns.

    Changes made during a look bring the next one. A folder that goes away is waited for.
    """
    while True:
        place = await to_thread.run_sync(_identity, root)
        await look()
        if place is None:
            await asyncio.sleep(min(_AWAY_S, limits.rescan_s))
            continue
        await _follow_while_there(root, place, look, limits)


async def _follow_while_there(
    root: Path, place: tuple[int, int], look: Callable[[], Awaitable[None]], limits: WatchLimits
) -> None:
    """Until the folder at `root` is another one than the watch was set on."""
    from watchfiles import awatch

    quiet_ms = int(limits.debounce_s * 1000)
    changes = awatch(
        root,
        watch_filter=lambda _, path: _UNWATCHED.isdisjoint(Path(path).parts),
        step=quiet_ms,
        debounce=quiet_ms * _MOST_BATCHED,
        rust_timeout=max(1, int(limits.rescan_s * 1000)),
        yield_on_timeout=True,
        force_polling=limits.is_polling or None,
        poll_delay_ms=max(50, quiet_ms),
        ignore_permission_denied=True,
    )
    try:
        async for _ in changes:
            if await to_thread.run_sync(_identity, root) != place:
                return
            await look()
    except OSError:  # the folder went away while the watch was being set
        return


def _identity(root: Path) -> tuple[int, int] | None:
    try:
        status = root.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
