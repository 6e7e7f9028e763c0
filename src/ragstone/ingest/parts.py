"""The stretches of a document that are cut each on its own: sections, joined where they are small (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile, zip_longest

from ragstone.ingest.token_ruler import TokenRuler
from ragstone.types import ParsedDocument, SectionSpan, Span

UNDERLINES = "=-~ \t\n"


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of text under one heading path; `is_bare` when it is a heading and nothing else."""

    path: tuple[str, ...]
    span: Span
    is_bare: bool = False


def parts_of(document: ParsedDocument, ruler: TokenRuler, max_tokens: int) -> Iterator[Part]:
    """The whole text as parts, neighbours joined where that makes a better chunk than either alone."""
    current: Part | None = None
    for part in _parts(document):
        joined = _join(current, part, ruler, max_tokens) if current else part
        if joined is None and current:
            yield current
        current = joined or part
    if current:
        yield current


def _parts(document: ParsedDocument) -> Iterator[Part]:
    """The whole text: its sections, and the stretches that lie in none."""
    position = 0
    for section, after in zip_longest(document.sections, document.sections[1:]):
        if section.span.start > position:
            yield Part((), Span(position, section.span.start))
        # One line of code may be all there is to say; it heads what follows only when that lies inside of it.
        may_head = not document.breaks or (after is not None and len(after.path) > len(section.path))
        yield Part(section.path, section.span, may_head and _is_bare(document.text, section))
        position = section.span.end
    if position < len(document.text):
        yield Part((), Span(position, len(document.text)))


def _is_bare(text: str, section: SectionSpan) -> bool:
    heading_end = text.find("\n", section.span.start, section.span.end)
    return heading_end < 0 or not text[heading_end : section.span.end].strip(UNDERLINES)


def _join(first: Part, second: Part, ruler: TokenRuler, max_tokens: int) -> Part | None:
    span = Span(first.span.start, second.span.end)
    common = _common(first.path, second.path)
    if first.is_bare and common == first.path:
        return Part(second.path, span, second.is_bare)  # a heading alone would be a chunk without content
    if ruler.between(span.start, span.end) > max_tokens:
        return None
    larger = max(ruler.between(part.span.start, part.span.end) for part in (first, second))
    return Part(common, span) if common or larger <= max_tokens // 4 else None


def _common(first: Sequence[str], second: Sequence[str]) -> tuple[str, ...]:
    pairs = zip(first, second, strict=False)
    return tuple(name for name, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
