"""What gathers is stored a moment later, whatever happened to what came before it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import structlog

from ragstone.analytics import write_behind
from ragstone.analytics.write_behind import Buffer, WriteBehind
from ragstone.errors import StoreFailed

pytestmark = pytest.mark.anyio
LIMIT_S = 30.0


class Numbers:
    """A buffer of numbers whose storing fails as told."""

    def __init__(self) -> None:
        self.waiting: list[int] = []
        self.stored: list[int] = []
        self.failures: list[Exception] = []
        self.tidied = 0
        self.changed = asyncio.Condition()

    async def store(self) -> None:
        """Two at a time."""
        taken, self.waiting = self.waiting[:2], self.waiting[2:]
        if self.failures:
            error = self.failures.pop(0)
            if isinstance(error, StoreFailed):
                self.waiting = taken + self.waiting
            await self.tell()
            raise error
        self.stored += taken
        await self.tell()

    async def tidy(self) -> None:
        """Count the calls."""
        self.tidied += 1
        await self.tell()

    async def tell(self) -> None:
        """Wake those who wait for a change."""
        async with self.changed:
            self.changed.notify_all()

    async def until(self, count: int) -> None:
        """Wait until so many are stored and the loop has tidied up."""
        async with asyncio.timeout(LIMIT_S), self.changed:
            await self.changed.wait_for(lambda: len(self.stored) >= count and self.tidied > 0)


@asynccontextmanager
async def writing(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Numbers, WriteBehind]]:
    """A writer that does not wait long."""
    monkeypatch.setattr(write_behind, "FLUSH_S", 0.01)
    numbers = Numbers()
    writer = WriteBehind(Buffer("numbers", lambda: len(numbers.waiting), numbers.store, numbers.tidy, 3))
    writer.start()
    yield numbers, writer
    await writer.aclose()


async def test_everything_is_stored_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one batch."""
    async with writing(monkeypatch) as (numbers, writer):
        numbers.waiting += range(5)
        writer.wake()
        await numbers.until(5)

    assert numbers.stored == [0, 1, 2, 3, 4]


async def test_a_store_that_fails_is_tried_again_and_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost; the log has one line for three failures."""
    with structlog.testing.capture_logs() as logs:
        async with writing(monkeypatch) as (numbers, writer):
            numbers.failures = [StoreFailed("locked")] * 3
            numbers.waiting += [1, 2]
            writer.wake()
            await numbers.until(2)

    assert numbers.stored == [1, 2]
    assert [(line["event"], line["what"], line["code"]) for line in logs] == [
        ("not_stored_yet", "numbers", "store_failed")
    ]


async def test_what_nobody_foresaw_costs_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one is stored; the log names the kind of error, not its words."""
    with structlog.testing.capture_logs() as logs:
        async with writing(monkeypatch) as (numbers, writer):
            numbers.failures = [ValueError("a question")]
            numbers.waiting += [1, 2]
            writer.wake()
            async with asyncio.timeout(LIMIT_S), numbers.changed:
                await numbers.changed.wait_for(lambda: not numbers.failures)
            numbers.waiting += [3]
            writer.wake()
            await numbers.until(1)

    assert numbers.stored == [3]
    assert [(line["event"], line["failure"]) for line in logs] == [("not_stored", "ValueError")]
    assert "a question" not in repr(logs)


async def test_closing_stores_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without waiting for its time."""
    monkeypatch.setattr(write_behind, "FLUSH_S", 3600.0)
    numbers = Numbers()
    writer = WriteBehind(Buffer("numbers", lambda: len(numbers.waiting), numbers.store, numbers.tidy, 9))
    writer.start()
    numbers.waiting += [1]
    writer.wake()

    await writer.aclose()

    assert numbers.stored == [1]


async def test_it_tidies_up_when_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too old goes in quiet times, too."""
    monkeypatch.setattr(write_behind, "TIDY_S", 0.01)
    async with writing(monkeypatch) as (numbers, _):
        await numbers.until(0)

    assert numbers.tidied > 0
