"""Following a folder: told by the system where it tells, by polling elsewhere, by a rescan in any case."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from anyio import to_thread

if TYPE_CHECKING:
    from watchfiles import Change

_UNWATCHED = frozenset({".git", "node_modules", "__pycache__"})
_MOST_BATCHED = 20
"""Quiet times after which a batch of changes is looked at although more keep coming."""
_ROUND_MS = 1000
"""How often it is looked whether the folder is still the same one."""
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
    # The first batch, mostly an empty one, says that the watch is set: what changed before that is looked
    # for then.
    look_at_s = 0.0
    clock = asyncio.get_running_loop().time
    async with aclosing(_batches(root, limits)) as batches:
        try:
            async for batch in batches:
                if await to_thread.run_sync(_identity, root) != place:
                    return
                if batch or clock() >= look_at_s:
                    await look()
                    look_at_s = clock() + limits.rescan_s
        except OSError:  # the folder went away while the watch was being set
            return


def _batches(root: Path, limits: WatchLimits) -> AsyncGenerator[set[tuple[Change, str]], None]:
    """Changes as they come, and empty batches while there are none."""
    from watchfiles import awatch

    quiet_ms = int(limits.debounce_s * 1000)
    return awatch(
        root,
        watch_filter=lambda _, path: _UNWATCHED.isdisjoint(Path(path).parts),
        step=quiet_ms,
        debounce=quiet_ms * _MOST_BATCHED,
        rust_timeout=_ROUND_MS,
        yield_on_timeout=True,
        force_polling=limits.is_polling or None,
        poll_delay_ms=max(50, quiet_ms),
        ignore_permission_denied=True,
    )


def _identity(root: Path) -> tuple[int, int] | None:
    try:
        status = root.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
