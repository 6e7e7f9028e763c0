"""The probe of the event loop tells how late it was woken."""

from __future__ import annotations

import asyncio

import pytest

from ragstone.telemetry.loop_lag import EVERY_S, LoopLag

pytestmark = pytest.mark.anyio

LIMIT_S = 30.0


async def test_what_is_late_is_measured() -> None:
    """Woken in time, then 0.3 s late: that is what is seen, and nothing more once it is closed."""
    now, lateness = 0.0, iter([0.0, 0.3, 0.0])
    seen: list[float] = []
    is_seen = asyncio.Event()

    async def sleep(seconds: float) -> None:
        nonlocal now
        late = next(lateness, None)
        if late is None:
            is_seen.set()
            await asyncio.Event().wait()
        now += seconds + (late or 0.0)

    lag = LoopLag(seen.append, sleep, lambda: now)
    lag.start()
    async with asyncio.timeout(LIMIT_S):
        await is_seen.wait()
    await lag.aclose()

    assert seen == pytest.approx([0.0, 0.3, 0.0])
    assert now == pytest.approx(3 * EVERY_S + 0.3)
