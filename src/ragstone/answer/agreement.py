"""Whether two questions ask for the same, as far as their words show (pure).

A question is read: what it asks for, its negations, and every word that carries meaning, in order. Two
questions agree when their readings are equal. A word counts unless it is known to mean nothing here (an
article, a form of be), so names, numbers, dates, units, comparatives, opposites, quoted strings and
identifiers have to be the same in both. What is not read as an English question agrees with itself only.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from ragstone.answer.agreement_words import (
    ASKING,
    AUXILIARIES,
    CONTRACTIONS,
    DO_SUPPORT,
    FRAMES,
    LONGEST_ASKING,
    NEGATIONS,
    SAME,
    SILENT,
)

MOST_CHARS = 300
"""Longer questions carry conditions that a list of words does not show."""
_APOSTROPHES = str.maketrans("’‘ʼ`´", "'''''", "")
_QUOTES = str.maketrans("“”„«»", '"""""')
_TOKEN = re.compile(
    r"""
    "[^"]+"                                    # a quoted string, whole
    | [^\W_](?:[\w.,:/\\@\#$%&+=<>~^|*'-]*[\w%+\#*])?  # a word, number, date, identifier, path
    | [^\s\w?.,;:!'"()]+                        # any other sign
    """,
    re.VERBOSE,
)
_ORDINAL = re.compile(r"(\d+)(?:st|nd|rd)\Z")
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?\Z")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a question says, without the words that may differ."""

    asks_for: str
    """who, whose, what, when, where, why, how, how many, how much or whether."""
    negations: int
    has_do_support: bool
    content: tuple[str, ...]
    """Every other word, by the one that stands for it, in order."""


def agree(a: str, b: str) -> bool:
    """Whether the words of two questions ask for the same.

    Symmetric; case, white space and closing marks do not matter.
    """
    if folded(a) == folded(b):
        return True
    reading = read(a)
    return reading is not None and reading == read(b)


def folded(question: str) -> str:
    """A question without what never matters: case, white space, marks at its end."""
    text = unicodedata.normalize("NFKC", question).casefold()
    text = unicodedata.normalize("NFKC", text).translate(_APOSTROPHES).translate(_QUOTES)
    return " ".join(text.split()).rstrip("?.! ")


def read(question: str) -> Reading | None:
    """The reading of an English question; None when it is not understood as one."""
    text = folded(question)
    if len(text) > MOST_CHARS:
        return None
    tokens = _without_frame([part for token in _TOKEN.findall(text) for part in _parts(token)])
    asks_for, rest = _asking(tokens)
    content = tuple(_meaning(token) for token in rest if token not in SILENT | DO_SUPPORT | NEGATIONS)
    if not asks_for or not content:
        return None
    return Reading(
        asks_for,
        sum(token in NEGATIONS for token in rest),
        any(token in DO_SUPPORT for token in rest),
        content,
    )


def _parts(token: str) -> Sequence[str]:
    if token in CONTRACTIONS:
        return CONTRACTIONS[token]
    if token.endswith("n't") and len(token) > len("n't"):
        return (token.removesuffix("n't"), "not")
    return (token.removesuffix("'s").removesuffix("'"),)


def _without_frame(tokens: list[str]) -> list[str]:
    for frame in FRAMES:
        if tuple(tokens[: len(frame)]) == frame:
            return _without_frame(tokens[len(frame) :])
    return tokens


def _asking(tokens: list[str]) -> tuple[str, list[str]]:
    """What is asked for, and the other tokens; a phrase before the question word goes to the end."""
    if tokens and tokens[0] in AUXILIARIES:
        return "whether", tokens
    for at in range(len(tokens)):
        for length in range(LONGEST_ASKING, 0, -1):
            asked = ASKING.get(tuple(tokens[at : at + length]))
            if asked:
                return asked, tokens[at + length :] + tokens[:at]
    return "", tokens


def _meaning(token: str) -> str:
    if found := _ORDINAL.match(token):
        return f"{found[1]}th"
    if _GROUPED.match(token):
        return token.replace(",", "")
    return SAME.get(token, token)
