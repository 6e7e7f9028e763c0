"""Cutting a passage into sentences with exact spans (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ragstone.types import Span

# A sentence ends at .!? (and closing quotes or brackets) before white space, at CJK full stops, at a blank
# line, and at a line break before a list item, heading or table row.
_END = re.compile(
    r"""[.!?…]+["'”’)\]]*(?=\s)|[。！？]+["'”’」』）]*"""
    r"""|\n[ \t]*(?=\n)|\n(?=[ \t]*(?:[-*+•|>#]|\d{1,3}[.)]\s))"""
)
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[\"'“])(?:[A-Z]|[A-Za-z]\.[A-Za-z]|Mr|Mrs|Ms|Dr|Prof|Sr|Jr|St|Mt|Gen|Col|Lt|Sgt|Rev|Hon|Gov|Sen|Rep|"
    r"vs|etc|e\.g|i\.e|cf|al|approx|ca|c|no|No|vol|Vol|pp|p|fig|Fig|eq|Eq|sec|Sec|ch|Ch|Inc|Ltd|Co|Corp|Bros|"
    r"Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec)\.\Z"
)
_LOWER_NEXT = re.compile(r"\s+[a-z]")
MOST_CHARS = 1_000
"""A longer run without an end is cut at white space: tables and logs have no sentences."""


def sentences(text: str) -> list[Span]:
    """Spans of the sentences of `text`, in order, without surrounding white space; blank ones left out."""
    return [piece for span in _cut(text) for piece in _short(text, span)]


def _cut(text: str) -> Iterator[Span]:
    start = 0
    for end in _END.finditer(text):
        if end.group()[0] in ".!?…" and _goes_on(text, start, end):
            continue
        yield Span(start, end.end())
        start = end.end()
    yield Span(start, len(text))


def _goes_on(text: str, start: int, end: re.Match[str]) -> bool:
    """Whether the dot ends an abbreviation or stands before a lower-case word."""
    if _LOWER_NEXT.match(text, end.end()):
        return True
    return end.group() == "." and bool(_ABBREVIATION.search(text[max(start, end.end() - 12) : end.end()]))


def _short(text: str, span: Span) -> Iterator[Span]:
    start, end = span.start, span.end
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    while end - start > MOST_CHARS:
        cut = text.rfind(" ", start + 1, start + MOST_CHARS)
        cut = cut if cut > start else start + MOST_CHARS
        yield Span(start, start + len(text[start:cut].rstrip()))
        start = cut
        while start < end and text[start].isspace():
            start += 1
    if start < end:
        yield Span(start, end)
