"""Groups token lists of like length, so that little is spent on padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int32]
"""(texts, tokens) int32."""


def plan_batches(lengths: Sequence[int], budget_tokens: int, max_texts: int) -> list[list[int]]:
    """Positions grouped into batches, longest first; each position occurs once.

    A batch holds at most `max_texts`, and at most `budget_tokens` after padding to its longest text;
    a single text over the budget is a batch of its own. Ties keep their order.
    """
    batches: list[list[int]] = []
    room = 0
    for position in sorted(range(len(lengths)), key=lambda at: -lengths[at]):
        if room == 0:
            batches.append([])
            room = max(1, min(max_texts, budget_tokens // max(1, lengths[position])))
        batches[-1].append(position)
        room -= 1
    return batches


def pad(windows: Sequence[Sequence[int]]) -> tuple[Ids, Ids]:
    """Token ids and attention mask of one batch, both `(texts, longest)`, zero where padded."""
    shape = (len(windows), max(map(len, windows)))
    ids, mask = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    for row, window in enumerate(windows):
        ids[row, : len(window)] = window
        mask[row, : len(window)] = 1
    return ids, mask
