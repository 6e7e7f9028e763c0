"""How many may do one thing at a time: whoever finds no place is told so at once and waits in no queue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ragstone.errors import Overloaded


@dataclass(frozen=True, slots=True)
class LimiterFigures:
    """Places taken now, and refusals since the start."""

    name: str
    busy: int
    limit: int
    refused: int


class Limiter:
    """A number of places. Belongs to one event loop."""

    def __init__(self, name: str, limit: int, setting: str) -> None:
        """Make `limit` places for what `name` says in the plural; `setting` is where to get more."""
        self.name = name
        self._limit = limit
        self._setting = setting
        self._busy = self._refused = 0

    def check(self) -> None:
        """Go on only when there is a place now; takes none.

        Raises:
            Overloaded: all are taken.
        """
        if self._busy >= self._limit:
            self._refused += 1
            raise Overloaded(
                f"{self._busy} {self.name} are under way already; try again in a moment, or raise "
                f"{self._setting} if this machine can take more."
            )

    @contextmanager
    def place(self) -> Iterator[None]:
        """One place for the time of the block.

        Raises:
            Overloaded: all are taken.
        """
        self.check()
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1

    def figures(self) -> LimiterFigures:
        """How full it is."""
        return LimiterFigures(self.name, self._busy, self._limit, self._refused)
