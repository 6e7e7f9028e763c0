"""Extractive answers: the sentences that answer best, quoted exactly.

A sentence's rank mixes three views, each scaled to 0..1 over the candidates: BM25 of the question's words
among the candidate sentences, cosine of the embeddings, and the standing of its passage in the search.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ragstone.answer.sentences import sentences
from ragstone.index.analysis import Analysis
from ragstone.types import Hit, Matrix, Span, Vector

K1, B = 1.2, 0.5
LEXICAL_SHARE, DENSE_SHARE, PASSAGE_SHARE = 0.4, 0.35, 0.25
MOST_PASSAGES = 6
MOST_SENTENCES = 16
"""Each is embedded. On SQuAD, all sentences of six passages (26 on average) quote no better than 12 to 20
(150 questions, November 2026)."""
LEAST_COSINE = 0.25
"""Below it, and without a shared word, a sentence is no evidence."""
_WORDLESS = re.compile(r"[\W_]*\Z")
_HEADING = re.compile(r"#{1,6}\s[^\n]*\Z")


@dataclass(frozen=True, slots=True)
class QuotedSentence:
    """A sentence of a hit; `span` counts from the start of the document's text."""

    hit: Hit
    text: str
    span: Span
    passage_rank: int


@dataclass(frozen=True, slots=True)
class Candidates:
    """Sentences to choose from with their word matches (BM25, unscaled)."""

    sentences: tuple[QuotedSentence, ...]
    lexical: tuple[float, ...]


def candidate_sentences(question: str, hits: Sequence[Hit], analysis: Analysis) -> Candidates:
    """The sentences of the best passages, at most `MOST_SENTENCES`, those with matching words first."""
    found = [
        QuotedSentence(
            hit, span.of(hit.text), Span(hit.span.start + span.start, hit.span.start + span.end), rank
        )
        for rank, hit in enumerate(hits[:MOST_PASSAGES])
        for span in sentences(hit.text)
        if not _is_bare(span.of(hit.text))
    ]
    found = _distinct(found)
    scores = _bm25(question, [sentence.text for sentence in found], analysis)
    order = sorted(range(len(found)), key=lambda at: (-scores[at], found[at].passage_rank, at))[
        :MOST_SENTENCES
    ]
    return Candidates(tuple(found[at] for at in order), tuple(scores[at] for at in order))


def choose(
    candidates: Candidates, query: Vector | None, matrix: Matrix | None, max_quotes: int, max_chars: int
) -> list[QuotedSentence]:
    """The best sentences within both limits, best first; empty when nothing is evidence.

    `matrix` holds the embedding of each candidate; None leaves the dense view out.
    """
    if not candidates.sentences:
        return []
    lexical = np.asarray(candidates.lexical, np.float32)
    cosine = np.zeros(len(lexical), np.float32) if matrix is None or query is None else matrix @ query
    passage = np.asarray([1 / (1 + sentence.passage_rank) for sentence in candidates.sentences], np.float32)
    total = LEXICAL_SHARE * _scaled(lexical) + DENSE_SHARE * _scaled(cosine) + PASSAGE_SHARE * passage
    is_evidence = (lexical > 0) | (cosine >= LEAST_COSINE)
    chosen: list[QuotedSentence] = []
    left = max_chars
    for at in sorted(range(len(total)), key=lambda at: (-float(total[at]), at)):
        sentence = candidates.sentences[at]
        if len(chosen) == max_quotes:
            break
        if is_evidence[at] and len(sentence.text) <= left:
            chosen.append(sentence)
            left -= len(sentence.text)
    return chosen


def _bm25(question: str, texts: Sequence[str], analysis: Analysis) -> list[float]:
    """BM25 of the question's stemmed terms, the candidate sentences being the collection.

    Source: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009.
    """
    terms = analysis.terms(question).stemmed
    counts = [Counter(analysis.stems(text)) for text in texts]
    lengths = [sum(count.values()) for count in counts]
    mean_length = (sum(lengths) / len(lengths)) if lengths else 1.0
    idf = {
        term: math.log(1 + (len(texts) - frequency + 0.5) / (frequency + 0.5))
        for term in terms
        for frequency in [sum(1 for count in counts if term in count)]
    }
    return [
        sum(
            idf[term]
            * count[term]
            * (K1 + 1)
            / (count[term] + K1 * (1 - B + B * length / max(mean_length, 1.0)))
            for term in terms
            if term in count
        )
        for count, length in zip(counts, lengths, strict=True)
    ]


def _scaled(scores: Vector) -> Vector:
    top = float(scores.max(initial=0.0))
    return np.clip(scores / top, 0.0, 1.0) if top > 0 else np.zeros_like(scores)


def _is_bare(text: str) -> bool:
    """Whether the text says nothing by itself: punctuation, a table rule or a lone heading."""
    return bool(_WORDLESS.match(text) or _HEADING.match(text))


def _distinct(found: Sequence[QuotedSentence]) -> list[QuotedSentence]:
    """Each wording once, where it ranks best: documents repeat boilerplate."""
    seen: dict[str, QuotedSentence] = {}
    for sentence in found:
        seen.setdefault(" ".join(sentence.text.split()).casefold(), sentence)
    return list(seen.values())
