"""Cuts by meaning: sentences whose embeddings are alike stay together (pure: vectors in, cuts out).

Source: Smith and Troynikov, "Evaluating chunking strategies for retrieval", Chroma, 2024, the cluster
semantic chunker: among all ways of cutting a row of small units into stretches within the budget, take the
one whose units are most alike, as dynamic programming finds it. A pair counts what its similarity lies above
the mean, so that stretches neither always grow nor always shrink; no threshold is chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ragstone.ingest.cut import trimmed
from ragstone.ingest.seams import SENTENCE_END
from ragstone.ingest.table import Tables
from ragstone.ingest.token_ruler import TokenRuler
from ragstone.types import Matrix, Span

UNITS_PER_CHUNK = 8
"""A unit is sentences of at least this part of the budget: shorter ones say too little to be compared."""
MOST_UNITS = 48
"""In one stretch, so that a text of units without tokens costs no more than others."""

EVEN = 1e-4
"""Of ways that are alike but for rounding, the longer stretch: a text of one meaning fills its chunks."""


def units_of(text: str, span: Span, max_tokens: int, ruler: TokenRuler, tables: Tables) -> Iterator[Span]:
    """Whole sentences, lines or table rows, together at least an eighth of the budget, in order."""
    least = max(1, max_tokens // UNITS_PER_CHUNK)
    start = span.start
    for end in _sentence_ends(text, span, tables):
        if ruler.between(start, end) >= least or end == span.end:
            unit = trimmed(text, Span(start, end))
            if unit.start < unit.end:
                yield unit
            start = end


def cuts_by_meaning(units: Sequence[Span], vectors: Matrix, max_tokens: int, ruler: TokenRuler) -> list[Span]:
    """Stretches of whole units, in order, each within the budget where its units are; all units are in one.

    `vectors` holds a unit row for each of `units`.
    """
    similar = _excess_similarity(vectors)
    count = len(units)
    best = np.zeros(count + 1)
    begin = np.zeros(count + 1, np.int64)
    for end in range(1, count + 1):
        best[end], begin[end] = -np.inf, end - 1
        gain = 0.0
        for start in range(end - 1, max(-1, end - 1 - MOST_UNITS), -1):
            if start < end - 1 and ruler.between(units[start].start, units[end - 1].end) > max_tokens:
                break
            gain += float(similar[start, 1 : end - start].sum())
            if best[start] + gain >= best[end] - EVEN:
                best[end], begin[end] = best[start] + gain, start
    spans: list[Span] = []
    end = count
    while end:
        start = int(begin[end])
        spans.append(Span(units[start].start, units[end - 1].end))
        end = start
    return spans[::-1]


def _excess_similarity(vectors: Matrix) -> Matrix:
    """`[i, k]`: how far the cosine of units i and i+k lies above the mean of all pairs that near."""
    count = len(vectors)
    band = np.zeros((count, MOST_UNITS + 1), np.float32)
    total, pairs = 0.0, 0
    for step in range(1, min(MOST_UNITS, count - 1) + 1):
        cosine = np.einsum("ij,ij->i", vectors[:-step], vectors[step:])
        band[: count - step, step] = cosine
        total += float(cosine.sum())
        pairs += len(cosine)
    if pairs:
        band -= total / pairs
    return band


def _sentence_ends(text: str, span: Span, tables: Tables) -> Iterator[int]:
    """Ends of sentences and lines; of tables only rows. The end of the span is the last.

    A heading and a table's header end nothing: they would be parted from what they are about.
    """
    start = span.start
    while start < span.end:
        line = text.find("\n", start, span.end) + 1 or span.end
        table = tables.around(start + 1)
        if table is None:
            for match in SENTENCE_END.finditer(text, start, line):
                if match.end() < line:
                    yield match.end()
        is_header = text.startswith("#", start) if table is None else line <= table.body_start
        if line == span.end or not is_header:
            yield line
        start = line
