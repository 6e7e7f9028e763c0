"""Cutting a changed text where its former version was cut, so that one edit makes few new chunks (pure).

Left alone, pieces are filled from where a section begins: one more sentence moves every later cut of it,
and each chunk with another text must be embedded again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ragstone.ingest.seams import Seams
from ragstone.types import Span

MOST_LOST = 200
"""Former chunks looked for in vain within the changed stretch before the rest of it counts as new."""


@dataclass(frozen=True, slots=True)
class Former:
    """The version before: its text and where its chunks lay, in order."""

    text: str
    chunks: Sequence[Span]


def former_ends(former: Former, text: str) -> list[int]:
    """Where in `text` chunks of the former version end that stand there unchanged, ascending.

    What both versions begin and end with is found by comparing; chunks between are looked for in order.
    Cost: some comparisons of both texts, and a search for each chunk of the changed stretch.
    """
    prefix = _common_prefix(former.text, text)
    suffix = _common_suffix(former.text, text, min(len(former.text), len(text)) - prefix)
    shift = len(text) - len(former.text)
    ends: list[int] = []
    between: list[Span] = []
    for chunk in former.chunks:
        if chunk.end <= prefix:
            ends.append(chunk.end)
        elif chunk.start >= len(former.text) - suffix:
            ends.append(chunk.end + shift)
        else:
            between.append(chunk)
    found = _found(former.text, between, text, Span(prefix, len(text) - suffix))
    return sorted({*ends, *found})


class FormerSeams:
    """Other seams, save that the farthest former end in reach goes before them."""

    def __init__(self, seams: Seams, ends: Sequence[int]) -> None:
        self._seams = seams
        self._ends = ends

    def best(self, start: int, limit: int) -> int:
        """See `Seams`."""
        at = bisect_right(self._ends, limit) - 1
        return self._ends[at] if at >= 0 and self._ends[at] > start else self._seams.best(start, limit)

    def first_start(self, earliest: int, end: int) -> int:
        """As without former ends."""
        return self._seams.first_start(earliest, end)


def _found(former: str, chunks: Sequence[Span], text: str, stretch: Span) -> Iterator[int]:
    position, lost = stretch.start, 0
    for chunk in chunks:
        start = text.find(chunk.of(former), position, stretch.end)
        if start >= 0:
            yield start + chunk.length
            position = start + 1
        elif (lost := lost + 1) == MOST_LOST:
            return


def _common_prefix(a: str, b: str) -> int:
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _common_suffix(a: str, b: str, most: int) -> int:
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if a[len(a) - middle : len(a) - low] == b[len(b) - middle : len(b) - low]:
            low = middle
        else:
            high = middle - 1
    return low
