"""Cut a stretch of text into pieces within a token budget, at the best seam in reach (pure)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ragstone.ingest.seams import Seams
from ragstone.ingest.token_ruler import TokenRuler
from ragstone.types import Span

_MAX_CHARS_PER_TOKEN = 16
"""Text that a tokeniser swallows whole (10,000 letters without a space) is still cut."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What one piece may hold, and share with the piece before it."""

    max_tokens: int
    overlap_tokens: int = 0

    @property
    def max_chars(self) -> int:
        """A piece's characters, however few tokens they make."""
        return self.max_tokens * _MAX_CHARS_PER_TOKEN


@dataclass(frozen=True, slots=True)
class Cutter:
    """One text with its measure and its seams."""

    text: str
    ruler: TokenRuler
    seams: Seams

    def pieces(self, span: Span, budget: Budget) -> Iterator[Span]:
        """Spans within `span`, in order, without white space at their ends; none where there is no token."""
        position = done = span.start
        last_end = span.start
        while done < span.end:
            cut = self._next_cut(Span(position, span.end), budget)
            if cut <= done and position < done:  # nothing but overlap would fit
                position = done
                continue
            piece = trimmed(self.text, Span(position, cut))
            if piece.end > last_end and self.ruler.exact(piece.start, piece.end):
                yield piece
                last_end = piece.end
            done = cut
            position = self.overlapped(Span(piece.start, cut), budget)

    def overlapped(self, piece: Span, budget: Budget) -> int:
        """Where the next piece begins: at the cut, or up to `overlap_tokens` before it."""
        overlap = min(budget.overlap_tokens, budget.max_tokens // 2)
        if not overlap:
            return piece.end
        earliest = max(self.ruler.back(piece.end, overlap), piece.start + 1)
        return self.seams.first_start(earliest, piece.end)

    def _next_cut(self, rest: Span, budget: Budget) -> int:
        """Where the piece that begins at `rest.start` ends."""
        reach = self.ruler.reach(rest.start, budget.max_tokens)
        limit = min(reach, rest.start + budget.max_chars, rest.end)
        while True:
            limit = max(limit, rest.start + 1)
            cut = rest.end if limit == rest.end else self.seams.best(rest.start, limit)
            tokens = self.ruler.exact(rest.start, cut)
            if tokens <= budget.max_tokens or cut == rest.start + 1:
                return cut
            limit = rest.start + (cut - rest.start) * budget.max_tokens // (tokens + 1)


def trimmed(text: str, span: Span) -> Span:
    """Without white space at the ends; the indentation of a first line stays."""
    body = span.of(text)
    end = span.start + len(body.rstrip())
    lead = len(body) - len(body.lstrip())
    indented = body.rfind("\n", 0, lead) + 1
    begins_line = span.start == 0 or text[span.start - 1] == "\n"
    return Span(span.start + (indented if indented or begins_line else lead), end)
