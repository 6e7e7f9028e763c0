"""Where headings lie in a normalised text, and what its title is (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ragstone.types import SectionSpan, Span

_ATX = re.compile(r" {0,3}(#{1,6})(?=[ \t]|$)")
_CANDIDATE = re.compile(
    r"^(?:[ \t]*<!--| {0,3}(?:#{1,6}(?=[ \t]|$)|`{3}|~{3}|=+[ \t]*$|-+[ \t]*$)).*$", re.MULTILINE
)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)$")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_NOT_A_PARAGRAPH = re.compile(r"\s*$| {4}|\t| {0,3}(?:[-*+>|]|\d{1,9}[.)]\s|<)")
_FRONT_MATTER = re.compile(r"---[ \t]*\n\s*[\w.-]+:.*?\n(?:---|\.\.\.)[ \t]*(?:\n|$)", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title:(.+)$", re.MULTILINE)
_EMPHASIS = re.compile(r"(\*\*|__|\*|(?<!\w)_|_(?!\w)|`+)")
_MARKUP = re.compile(r"[*_`\[{]")
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()]*\)")
_ATTRIBUTES = re.compile(r"\s*\{[^{}]*\}\s*$")
_RST_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1{2,}[ \t]*$")
MAX_HEADING_CHARS = 300


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading: its level from 1, its words without markup, and where its first line begins."""

    level: int
    text: str
    start: int


def sections_of(headings: Iterable[Heading], text_length: int) -> tuple[SectionSpan, ...]:
    """Spans under their heading paths, disjoint and in order; text before the first heading has none."""
    ordered = list(headings)
    path: list[Heading] = []
    spans: list[SectionSpan] = []
    ends = [heading.start for heading in ordered[1:]] + [text_length]
    for heading, end in zip(ordered, ends, strict=False):  # no heading, one end
        while path and path[-1].level >= heading.level:
            path.pop()
        path.append(heading)
        spans.append(SectionSpan(tuple(h.text for h in path), Span(heading.start, end)))
    return tuple(spans)


def markdown_headings(text: str) -> Iterator[Heading]:
    """ATX and setext headings outside code fences, HTML comments and front matter (CommonMark 0.31).

    Only lines that may matter are looked at one by one: a file of 100 MB of plain lines is no stall.
    """
    done = len(front_matter(text))
    for candidate in _CANDIDATE.finditer(text, done):
        start, line = candidate.start(), candidate[0]
        if start < done:
            continue
        if line.lstrip().startswith("<!--"):
            done = _end_of_line(text, text.find("-->", start))
        elif opened := _FENCE.match(line):
            if opened[1][0] == "~" or "`" not in opened[2]:
                done = _end_of_fence(text, candidate.end(), opened[1])
        elif heading := _heading(line, start, *_line_before(text, start, done)):
            yield heading
            done = candidate.end()


def _end_of_line(text: str, offset: int) -> int:
    end = text.find("\n", offset) if offset >= 0 else -1
    return end if end >= 0 else len(text)


def _end_of_fence(text: str, offset: int, fence: str) -> int:
    closing = re.compile(rf"^[ \t]*{fence}{fence[0]}*[ \t]*$", re.MULTILINE).search(text, offset)
    return closing.end() if closing else len(text)


def _line_before(text: str, start: int, done: int) -> tuple[str, int]:
    """The line before the one at `start`, and its offset; empty when it belongs to something else."""
    before = text.rfind("\n", 0, max(0, start - 1)) + 1
    return (text[before : start - 1], before) if done <= before < start else ("", before)


def _heading(line: str, start: int, previous: str, previous_start: int) -> Heading | None:
    if atx := _ATX.match(line):
        words = plain_words(_without_closing_hashes(line[atx.end() :].strip()))
        return Heading(len(atx[1]), words, start) if words else None
    underline = _SETEXT.match(line)
    if underline and previous and not _NOT_A_PARAGRAPH.match(previous):
        words = plain_words(previous)
        return Heading(1 if underline[1][0] == "=" else 2, words, previous_start) if words else None
    return None


def _without_closing_hashes(words: str) -> str:
    bare = words.rstrip("#")
    return bare.rstrip() if not bare or bare[-1].isspace() else words


def plain_words(heading: str) -> str:
    """A heading's words: no emphasis, link targets or attribute lists; at most 300 characters."""
    if not _MARKUP.search(heading):
        return " ".join(heading[:MAX_HEADING_CHARS].split())
    # Cut first: the expressions below are quadratic in runs of spaces, which a hostile file may hold.
    words = _LINK.sub(r"\1", _ATTRIBUTES.sub("", heading[: 4 * MAX_HEADING_CHARS]))
    return " ".join(_EMPHASIS.sub("", words).split())[:MAX_HEADING_CHARS]


def front_matter(text: str) -> str:
    """The YAML block at the very start, delimiters included; empty when there is none."""
    found = _FRONT_MATTER.match(text)
    return found[0] if found else ""


def markdown_title(text: str) -> str | None:
    """The front matter's title, or the first heading of the first level."""
    declared = _FRONT_TITLE.search(front_matter(text))
    if declared:
        return declared[1].strip().strip("\"'") or None
    return next((h.text for h in markdown_headings(text) if h.level == 1), None)


def rst_headings(text: str) -> Iterator[Heading]:
    """Section titles by their adornment; a style's level is the order in which it first appears."""
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    styles: list[str] = []
    index = 0
    while index < len(lines):
        found = _rst_title(lines, index)
        if found is None:
            index += 1
            continue
        style, words, height = found
        if style not in styles:
            styles.append(style)
        yield Heading(styles.index(style) + 1, words, starts[index])
        index += height


def _rst_title(lines: list[str], index: int) -> tuple[str, str, int] | None:
    """Style, words and number of lines of a title that begins at `index`, if one does."""
    window = [*lines[index : index + 3], "", ""]
    over = _RST_ADORNMENT.match(window[0])
    under = _RST_ADORNMENT.match(window[2])
    if over and under and over[1] == under[1] and window[1].strip():
        return over[1] * 2, plain_words(window[1]), 3
    under = _RST_ADORNMENT.match(window[1])
    is_title = bool(window[0].strip()) and not window[0][0].isspace() and not over
    starts_block = index == 0 or not lines[index - 1].strip()
    if under and is_title and starts_block and len(window[1].rstrip()) >= len(window[0].rstrip()):
        return under[1], plain_words(window[0]), 2
    return None
