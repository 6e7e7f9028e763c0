"""Cut a stretch of text into pieces within a token budget, at the best boundary in reach (pure)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from ragstone.ingest.token_ruler import TokenRuler
from ragstone.types import Span

_MAX_CHARS_PER_TOKEN = 16
"""Text that a tokeniser swallows whole (10,000 letters without a space) is still cut."""
_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]*_]{0,3}\s|[。！？．]")
_ROW_OR_ITEM = re.compile(r"\s*(?:\||[-*+] |\d{1,3}[.)] )|\s{4}|\t")
_JOINERS = "\u200d\ufe0e\ufe0f"
_MIN_FILL = 0.5
"""A paragraph, line or sentence end counts only in the second half of what would fit."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What one piece may hold, and share with the piece before it."""

    max_tokens: int
    overlap_tokens: int = 0

    @property
    def max_chars(self) -> int:
        """A piece's characters, however few tokens they make."""
        return self.max_tokens * _MAX_CHARS_PER_TOKEN


def pieces(text: str, span: Span, budget: Budget, ruler: TokenRuler) -> Iterator[Span]:
    """Spans within `span`, in order, without white space at their ends; none where there is no token."""
    position = done = span.start
    last_end = span.start
    while done < span.end:
        cut = _next_cut(text, Span(position, span.end), budget, ruler)
        if cut <= done and position < done:  # nothing but overlap would fit
            position = done
            continue
        piece = _trimmed(text, position, cut)
        if piece.end > last_end and ruler.exact(piece.start, piece.end):
            yield piece
            last_end = piece.end
        done = cut
        position = _overlapped(text, Span(piece.start, cut), budget, ruler)


def _next_cut(text: str, rest: Span, budget: Budget, ruler: TokenRuler) -> int:
    """Where the piece that begins at `rest.start` ends."""
    limit = min(ruler.reach(rest.start, budget.max_tokens), rest.start + budget.max_chars, rest.end)
    while True:
        limit = max(limit, rest.start + 1)
        cut = rest.end if limit == rest.end else _boundary(text, rest.start, limit)
        tokens = ruler.exact(rest.start, cut)
        if tokens <= budget.max_tokens or cut == rest.start + 1:
            return cut
        limit = rest.start + (cut - rest.start) * budget.max_tokens // (tokens + 1)


def _boundary(text: str, start: int, limit: int) -> int:
    """The best end in `(start, limit]`: paragraph, then line or sentence, then word, then character."""
    least = start + int((limit - start) * _MIN_FILL)
    paragraph = text.rfind("\n\n", least, limit)
    if paragraph >= 0:
        return paragraph + 2
    line_start = text.rfind("\n", start, limit) + 1
    line = line_start if line_start > least else 0
    if line and _ROW_OR_ITEM.match(text, line, line + 8):
        return line
    sentences = [match.end() for match in _SENTENCE_END.finditer(text, least, limit)]
    return sentences[-1] if sentences else line or _word_end(text, start, limit)


def _word_end(text: str, start: int, limit: int) -> int:
    if limit < len(text) and text[limit].isspace():
        return limit
    for position in range(limit, start + (limit - start) // 4, -1):
        if text[position - 1].isspace():
            return position
    return _character_end(text, start, limit)


def _character_end(text: str, start: int, limit: int) -> int:
    """Not between a letter and its marks, nor inside a joined emoji."""
    position = limit
    while start + 1 < position < len(text) and _is_joined(text[position - 1], text[position]):
        position -= 1
    return position if position > start + 1 else limit


def _is_joined(before: str, after: str) -> bool:
    return after in _JOINERS or before == "\u200d" or unicodedata.category(after).startswith("M")


def _trimmed(text: str, start: int, end: int) -> Span:
    """Without white space at the ends; the indentation of a first line stays."""
    body = text[start:end]
    end = start + len(body.rstrip())
    lead = len(body) - len(body.lstrip())
    indented = body.rfind("\n", 0, lead) + 1
    return Span(start + (indented or lead), end)


def _overlapped(text: str, piece: Span, budget: Budget, ruler: TokenRuler) -> int:
    """Where the next piece begins: at the cut, or at a word up to `overlap_tokens` before it."""
    overlap = min(budget.overlap_tokens, budget.max_tokens // 2)
    if not overlap:
        return piece.end
    earliest = max(ruler.back(piece.end, overlap), piece.start + 1)
    for position in range(earliest, piece.end):
        if text[position - 1].isspace() and not text[position].isspace():
            return position
    return piece.end
