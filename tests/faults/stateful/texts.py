"""Texts of paragraphs with markers of their own, and successors that keep some of them."""

from __future__ import annotations

import random

from tests.faults.stateful.history import History, Place, Value

COMMON = "archive"
"""Stands in every paragraph, so that one search finds all of them."""
WORDS = ("harbour", "violin", "comet", "beehive", "granite", "vineyard", "ferry", "glacier", "printing")
MOST_PARAGRAPHS = 5


def successor(history: History, place: Place, choice: random.Random) -> str:
    """A new text for a place: some paragraphs stay, some move, one may be twice, old ones may come back."""
    kept = [part for part in (place.text.newest.text or "").split("\n\n") if part and choice.random() < 0.7]
    if choice.random() < 0.3:
        choice.shuffle(kept)
    if kept and choice.random() < 0.2:
        kept.append(choice.choice(kept))
    if place.paragraphs and choice.random() < 0.2:
        kept.insert(0, choice.choice(place.paragraphs))
    for _ in range(choice.randint(0 if kept else 1, 2)):
        fresh = _paragraph(history, choice)
        place.paragraphs.append(fresh)
        kept.insert(choice.randint(0, len(kept)), fresh)
    return "\n\n".join(kept[-MOST_PARAGRAPHS:])


def title(history: History, place: Place, choice: random.Random) -> str:
    """The title that the place has, as far as one knows, or another one."""
    newest = place.title.newest.text
    if newest is not None and choice.random() < 0.7:
        return newest
    return f"The title {history.marker()}"


def tag(history: History) -> Value:
    """A metadata value that was never used."""
    return Value(history.marker())


def _paragraph(history: History, choice: random.Random) -> str:
    marker = history.marker()
    if choice.random() < 0.2:
        return f"# The {choice.choice(WORDS)} {marker} {COMMON}"
    return f"{marker} {' '.join(choice.sample(WORDS, 6))} {COMMON} {marker}."
