"""Cut a parsed document into chunks: sections first, then paragraphs, lines, sentences, words (pure).

The text is tokenised once and measured by where tokens begin. semantic-text-splitter, which measures
every candidate anew, reached 0.17 million characters a second on the same files and machine where this
reaches more than 1 (docs/ingest.md has the figures).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from ragstone.ingest.cut import Budget, pieces
from ragstone.ingest.sections import plain_words
from ragstone.ingest.token_ruler import TokenRuler
from ragstone.types import ChunkDraft, ChunkingSpec, PageSpan, ParsedDocument, SectionSpan, Span, TokenCounter

_SPECIAL_TOKENS = 2
_MAX_TITLE_CHARS = 120
_SEPARATOR = " > "
_UNDERLINES = "=-~ \t\n"


@dataclass(frozen=True, slots=True)
class _Part:
    """A stretch of text under one heading path; `is_bare` when it is a heading and nothing else."""

    path: tuple[str, ...]
    span: Span
    is_bare: bool = False


def chunk(
    document: ParsedDocument,
    spec: ChunkingSpec,
    tokens: TokenCounter,
    *,
    title: str | None = None,
    window_tokens: int | None = None,
) -> list[ChunkDraft]:
    """The chunks of a document, in order.

    Together they hold every character but the white space between them and stretches of no token at all;
    neighbours share at most `spec.overlap_tokens`, and only where one section had to be cut. A chunk stays
    within one section, save that neighbours under one parent are joined while they fit, under the headings
    they share, and so are neighbours without a parent when each is below a quarter of the budget. Where the
    heading line would push a chunk out of the model's window (`window_tokens`, special tokens included),
    its path loses headings, outermost first, and then the chunk gives way. Cost: about one tokenisation.
    """
    ruler = TokenRuler(document.text, tokens)
    headings = _Headings(title or "", spec, tokens, window_tokens)
    page_starts = [page.span.start for page in document.pages]
    drafts: list[ChunkDraft] = []
    for part in _joined(list(_parts(document)), ruler, spec.max_tokens):
        path, budget = headings.fit(part.path)
        drafts.extend(
            ChunkDraft(span, path, _page_at(span.start, document.pages, page_starts))
            for span in pieces(document.text, part.span, budget, ruler)
        )
    return drafts


def heading_line(title: str, path: Sequence[str]) -> str:
    """Title and headings, outermost first, joined by " > "; a title that repeats the first heading once."""
    short = title if len(title) <= _MAX_TITLE_CHARS else title[: _MAX_TITLE_CHARS - 1] + "…"
    names = [short, *path] if short and (not path or path[0] != title) else list(path)
    return _SEPARATOR.join(name for name in names if name)


def embedding_text(title: str, heading_path: Sequence[str], body: str) -> str:
    """What is embedded for a chunk: its heading line, then its text.

    Headings that the text itself begins with are not said twice.
    """
    opening = set(takewhile(lambda line: line in heading_path, _opening_lines(body)))
    path = [name for name in heading_path if name not in opening]
    line = heading_line("" if title in opening else title, path)
    return f"{line}\n{body}" if line else body


def _opening_lines(body: str) -> Iterator[str]:
    for line in body.split("\n", 12)[:12]:
        words = plain_words(line.strip().strip("#").strip())
        if words.strip(_UNDERLINES):
            yield words


def _parts(document: ParsedDocument) -> Iterator[_Part]:
    """The whole text: its sections, and the stretches that lie in none."""
    position = 0
    for section in document.sections:
        if section.span.start > position:
            yield _Part((), Span(position, section.span.start))
        yield _Part(section.path, section.span, _is_bare(document.text, section))
        position = section.span.end
    if position < len(document.text):
        yield _Part((), Span(position, len(document.text)))


def _is_bare(text: str, section: SectionSpan) -> bool:
    heading_end = text.find("\n", section.span.start, section.span.end)
    return heading_end < 0 or not text[heading_end : section.span.end].strip(_UNDERLINES)


def _joined(parts: Sequence[_Part], ruler: TokenRuler, max_tokens: int) -> Iterator[_Part]:
    """Neighbours joined where that makes a better chunk than either alone."""
    current: _Part | None = None
    for part in parts:
        joined = _join(current, part, ruler, max_tokens) if current else part
        if joined is None and current:
            yield current
        current = joined or part
    if current:
        yield current


def _join(first: _Part, second: _Part, ruler: TokenRuler, max_tokens: int) -> _Part | None:
    span = Span(first.span.start, second.span.end)
    common = _common(first.path, second.path)
    if first.is_bare and common == first.path:
        return _Part(second.path, span, second.is_bare)  # a heading alone would be a chunk without content
    if ruler.between(span.start, span.end) > max_tokens:
        return None
    larger = max(ruler.between(part.span.start, part.span.end) for part in (first, second))
    return _Part(common, span) if common or larger <= max_tokens // 4 else None


def _common(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    pairs = zip(first, second, strict=False)
    return tuple(name for name, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


class _Headings:
    """Decides how much of a heading path is kept, and what that leaves for the text."""

    def __init__(
        self, title: str, spec: ChunkingSpec, tokens: TokenCounter, window_tokens: int | None
    ) -> None:
        self._title = title
        self._spec = spec
        self._tokens = tokens
        self._room = None if window_tokens is None else max(1, window_tokens - _SPECIAL_TOKENS)

    def fit(self, path: tuple[str, ...]) -> tuple[tuple[str, ...], Budget]:
        """The path without the outermost headings that do not fit, and the budget of the text below it."""
        if self._room is None:
            return path, Budget(self._spec.max_tokens, self._spec.overlap_tokens)
        allowed = self._room - self._spec.max_tokens
        cost = self._cost(path)
        while path and cost > allowed:
            path = path[1:]
            cost = self._cost(path)
        max_tokens = max(1, min(self._spec.max_tokens, self._room - cost))
        return path, Budget(max_tokens, self._spec.overlap_tokens)

    def _cost(self, path: tuple[str, ...]) -> int:
        line = heading_line(self._title, path)
        return self._tokens.count(line) if line else 0


def _page_at(offset: int, pages: Sequence[PageSpan], starts: Sequence[int]) -> int | None:
    index = bisect_right(starts, offset) - 1
    return pages[index].page if index >= 0 else None
