"""Trying again: how often, with which pauses, and when not."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from ragstone.deadline import Deadline
from ragstone.errors import BreakerOpen, GeneratorFailed, RagstoneError
from ragstone.resilience.retry import Retry, RetryRules

pytestmark = pytest.mark.anyio

BROKEN = GeneratorFailed("broken")


class Script:
    """Says or raises one thing per attempt; `pauses` keeps what was waited between them."""

    def __init__(self, *attempts: tuple[str | RagstoneError, ...]) -> None:
        self.left = list(attempts)
        self.pauses: list[float] = []
        self.retry = Retry(
            RetryRules(attempts=4, first_s=1.0, longest_s=3.0), self.pause, lambda _, most: most
        )

    async def pause(self, seconds: float) -> None:
        """Note it."""
        self.pauses.append(seconds)

    async def stream(self) -> AsyncGenerator[str, None]:
        """The next attempt."""
        for said in self.left.pop(0):
            if isinstance(said, RagstoneError):
                raise said
            yield said

    async def call(self) -> str:
        """The next attempt's only word."""
        (said,) = self.left.pop(0)
        if isinstance(said, RagstoneError):
            raise said
        return said

    async def said(self, deadline: Deadline | None = None) -> list[str]:
        """All that the retried stream says."""
        limit = deadline or Deadline.never()
        async with aclosing(self.retry.stream(self.stream, limit)) as items:
            return [item async for item in items]


async def test_pauses_double_up_to_the_longest() -> None:
    """Three failures, then a word: it is all that is heard."""
    script = Script((BROKEN,), (BROKEN,), (BROKEN,), ("a", "b"))

    assert await script.said() == ["a", "b"]
    assert script.pauses == [1.0, 2.0, 3.0]


async def test_nothing_said_is_said_twice() -> None:
    """After the first item an error is final."""
    script = Script(("a", BROKEN), ("b",))

    with pytest.raises(GeneratorFailed):
        await script.said()
    assert script.pauses == []


@pytest.mark.parametrize("error", [GeneratorFailed("no", retryable=False), BreakerOpen("left alone")])
async def test_what_would_fail_again_is_not_tried_again(error: RagstoneError) -> None:
    """A wrong key stays wrong, and a breaker stays open."""
    script = Script((error,), ("a",))

    with pytest.raises(type(error)):
        await script.said()
    assert script.pauses == []


async def test_a_pause_beyond_the_deadline_is_not_begun() -> None:
    """The error comes while there is time to do something else."""
    script = Script((BROKEN,), (BROKEN,), ("a",))

    with pytest.raises(GeneratorFailed):
        await script.said(Deadline(1.5, 1.5, lambda: 0.0))
    assert script.pauses == [1.0]


async def test_attempts_end() -> None:
    """A call is tried as often as the rules say; the last error is raised."""
    script = Script(*[(GeneratorFailed(f"{number}"),) for number in range(9)])

    with pytest.raises(GeneratorFailed, match="3"):
        await script.retry.call(script.call, Deadline.never())
    assert len(script.left) == 5


async def test_jitter_stays_within_the_pause() -> None:
    """Half of it is always waited."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    retry = Retry(RetryRules(attempts=50, first_s=2.0, longest_s=2.0), pause)

    async def work() -> str:
        raise BROKEN

    with pytest.raises(GeneratorFailed):
        await retry.call(work, Deadline.never())
    assert len(set(pauses)) > 40
    assert all(1.0 <= seconds <= 2.0 for seconds in pauses)
