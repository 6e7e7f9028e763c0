"""Groups of questions that mean about the same (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ragstone.types import Matrix

SIMILAR = 0.8
"""Least cosine to the question that leads a group."""


@dataclass(frozen=True, slots=True)
class QuestionGroup:
    """Questions like the first one, each with how often it was asked, most asked first."""

    members: Sequence[tuple[str, int]]

    @property
    def asked(self) -> int:
        """Askings of all of them."""
        return sum(count for _, count in self.members)


def group_questions(asked: Sequence[tuple[str, int]], vectors: Matrix) -> list[QuestionGroup]:
    """Groups of two and more, most asked first.

    `asked` comes most asked first, `vectors` are its unit rows. A question joins the most similar leader that
    is at least `SIMILAR` to it, or leads a group itself: one pass, every member near its leader, no chains.
    """
    leaders: list[int] = []
    members: list[list[int]] = []
    for at in range(len(asked)):
        found = -1
        if leaders:
            cosines = vectors[leaders] @ vectors[at]
            best = int(np.argmax(cosines))
            found = best if float(cosines[best]) >= SIMILAR else -1
        if found < 0:
            leaders.append(at)
            members.append([at])
        else:
            members[found].append(at)
    groups = [QuestionGroup([asked[at] for at in found]) for found in members if len(found) > 1]
    return sorted(groups, key=lambda group: -group.asked)
