"""Whether text that a PDF or OCR gave can be read by anyone (pure).

A font without a map to Unicode, or with a wrong one, looks right on paper and gives glyph numbers, private
characters or shifted letters as text.
"""

from __future__ import annotations

import re
import unicodedata

MIN_CHARS = 8
"""A page with fewer visible characters has no text layer worth the name (a stamp, a page number)."""
_GLYPH_NUMBER = re.compile(r"\(cid:\d+\)|/[gG]\d{1,5}\b|&#x[0-9A-Fa-f]{1,6};")
_UNREADABLE = frozenset({"Cc", "Cn", "Co", "Cs"})
_MOST_UNREADABLE = 0.2
_LETTERS_TO_JUDGE = 100
_VOWELS = frozenset("aeiouyæœøåäöüáéíóúàèìòùâêîôûãõ")
_LEAST_VOWELS = 0.22
"""Of the letters of text in the Latin alphabet. The least of 657 real pages had 0.35, a German sentence made
of consonants 0.24; English shifted by 29, as most fonts without a map do it, has 0.17 (November 2026)."""
_JUDGED_CHARS = 20_000


def is_legible(text: str) -> bool:
    """Whether most of the text is characters that mean something, in words that could be spoken."""
    return unreadable_share(text) <= _MOST_UNREADABLE and has_vowels(text)


def is_blank(text: str) -> bool:
    """Whether there is no text worth the name."""
    return len("".join(text.split())) < MIN_CHARS


def unreadable_share(text: str) -> float:
    """The share of visible characters that stand for no character: 0 to 1."""
    sample = text[:_JUDGED_CHARS]
    words = _GLYPH_NUMBER.sub("\ufffd", sample)
    visible = [char for char in words if not char.isspace()]
    if not visible:
        return 0.0
    bad = sum(char == "\ufffd" or unicodedata.category(char) in _UNREADABLE for char in visible)
    return bad / len(visible)


def has_vowels(text: str) -> bool:
    """False for Latin letters of which hardly any is a vowel; too few letters, or other scripts, pass."""
    letters = [char for char in text[:_JUDGED_CHARS].lower() if char.isalpha() and char < "\u0250"]
    if len(letters) < _LETTERS_TO_JUDGE:
        return True
    return sum(char in _VOWELS for char in letters) >= _LEAST_VOWELS * len(letters)
