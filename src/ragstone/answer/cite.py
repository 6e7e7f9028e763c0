"""Binding the markers of a generated text to exact quotes (pure)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ragstone.answer.sentences import sentences
from ragstone.types import Citation, Hit, Span

MARKER = re.compile(r"\[(\d{1,3})\]")
_OPEN = re.compile(r"\[(?:\d{1,3})?\Z")
_WORD = re.compile(r"\w+")


class MarkerFilter:
    """Passes a stream of text on, without markers that name no passage.

    A marker may arrive in pieces, so text that may be the beginning of one is held back.
    """

    def __init__(self, passage_count: int) -> None:
        self._passage_count = passage_count
        self._held = ""

    def feed(self, text: str) -> str:
        """The part of the stream that is certain now."""
        text = self._held + text
        opened = _OPEN.search(text)
        self._held = opened.group() if opened else ""
        return self._valid(text[: len(text) - len(self._held)])

    def finish(self) -> str:
        """What was still held back at the end of the stream."""
        rest, self._held = self._held, ""
        return rest

    def _valid(self, text: str) -> str:
        return MARKER.sub(
            lambda found: found.group() if 1 <= int(found[1]) <= self._passage_count else "", text
        )


def cite(text: str, passages: Sequence[Hit]) -> list[Citation]:
    """One citation per marker used, by first use: the sentence of the passage nearest to the claim."""
    claims: dict[int, list[str]] = {}
    for span in sentences(text):
        claim = span.of(text)
        for found in MARKER.finditer(claim):
            claims.setdefault(int(found[1]), []).append(MARKER.sub("", claim))
    return [
        citation(marker, passages[marker - 1], _nearest(" ".join(said), passages[marker - 1].text))
        for marker, said in claims.items()
        if 1 <= marker <= len(passages)
    ]


def citation(marker: int, hit: Hit, span: Span) -> Citation:
    """The citation of `span`, counted from the start of the hit's text."""
    return Citation(
        marker=marker,
        document_id=hit.document_id,
        chunk_id=hit.chunk_id,
        title=hit.title,
        source=hit.source,
        quote=span.of(hit.text),
        span=Span(hit.span.start + span.start, hit.span.start + span.end),
        page=hit.page,
        section=hit.section,
    )


def _nearest(claim: str, passage: str) -> Span:
    """The sentence that shares most words with the claim, measured by F1; the first one on ties."""
    said = _words(claim)
    spans = sentences(passage) or [Span(0, len(passage))]
    return max(spans, key=lambda span: (_f1(said, _words(span.of(passage))), -span.start))


def _f1(a: frozenset[str], b: frozenset[str]) -> float:
    shared = len(a & b)
    return 2 * shared / (len(a) + len(b)) if shared else 0.0


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold()))
