"""Where the tokens of a text begin, so that any stretch of it is measured without tokenising again."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from ragstone.types import TokenCounter

_BLOCK_CHARS = 65_536
"""Texts are tokenised in blocks of about this size: an encoding costs some 200 bytes a token."""
_WORD = re.compile(r"\S+")
_IDEOGRAPH = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")


@runtime_checkable
class TokenStarts(Protocol):
    """A `TokenCounter` that also knows where each token begins."""

    def starts(self, text: str) -> Sequence[int]:
        """Code-point offset of the first character of each token, ascending."""
        ...


class TokenRuler:
    """Measures stretches of one text in tokens.

    Exact where both ends lie at white space, which no token of the models' tokenisers crosses; a stretch
    that begins or ends within a word may hold a few tokens more or less than `between` says.
    """

    def __init__(self, text: str, tokens: TokenCounter) -> None:
        self._text = text
        self._tokens = tokens
        self._starts: array[int] = array("q")
        find = tokens.starts if isinstance(tokens, TokenStarts) else _WordStarts(tokens).starts
        for offset, block in _blocks(text):
            self._starts.extend(offset + start for start in find(block))

    def between(self, start: int, end: int) -> int:
        """Tokens that begin in `[start, end)`."""
        return bisect_left(self._starts, end) - bisect_left(self._starts, start)

    def reach(self, start: int, tokens: int) -> int:
        """The farthest end such that `[start, end)` holds at most `tokens` tokens."""
        index = bisect_left(self._starts, start) + tokens
        return self._starts[index] if index < len(self._starts) else len(self._text)

    def back(self, end: int, tokens: int) -> int:
        """Where the last `tokens` tokens before `end` begin."""
        index = bisect_left(self._starts, end) - tokens
        return self._starts[index] if index >= 0 else 0

    def exact(self, start: int, end: int) -> int:
        """Tokens of `[start, end)` as a text of its own; counted anew only where an end cuts a word."""
        cuts_word = self._is_inside_word(start) or self._is_inside_word(end)
        return self._tokens.count(self._text[start:end]) if cuts_word else self.between(start, end)

    def _is_inside_word(self, offset: int) -> bool:
        if not 0 < offset < len(self._text):
            return False
        return not (self._text[offset - 1].isspace() or self._text[offset].isspace())


def least_tokens(text: str) -> int:
    """No more tokens than any of the models' tokenizers makes: one a word, and one an ideograph or kana."""
    return sum(
        max(len(block.split()), len(_IDEOGRAPH.findall(block)) if not block.isascii() else 0)
        for _, block in _blocks(text)
    )


class _WordStarts:
    """Token starts by counting each distinct word once; within a word they are spread evenly."""

    def __init__(self, tokens: TokenCounter) -> None:
        self._tokens = tokens
        self._counts: dict[str, int] = {}

    def starts(self, text: str) -> Iterator[int]:
        counts = self._counts
        for match in _WORD.finditer(text):
            word = match[0]
            count = counts.get(word)
            if count is None:
                count = counts[word] = self._tokens.count(word)
            start, length = match.start(), len(word)
            for index in range(count):
                yield start + index * length // count


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """The text in blocks that end at white space where there is any."""
    start = 0
    while start < len(text):
        end = start + _BLOCK_CHARS
        if end < len(text):
            space = max(text.rfind("\n", start, end), text.rfind(" ", start, end))
            end = space + 1 if space > start else end
        yield start, text[start:end]
        start = end
