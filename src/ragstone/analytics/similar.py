"""Questions like a given one: those that share its rare words."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragstone.analytics.words import distinct_words, fold, looked_for_terms, words_of
from ragstone.store.query_reads import TrackedQuery, holders_of_terms, word_counts

if TYPE_CHECKING:
    from ragstone.store.database import Database
    from ragstone.types import Principal

HOLDERS = 60
"""Questions read for each term, the newest ones."""
COMPARED = 40
LEAST_SIMILARITY = 0.3


@dataclass(frozen=True, slots=True)
class SimilarQuery:
    """A tracked question, and how much of both questions' weight stands in both: 0 to 1."""

    query: TrackedQuery
    similarity: float


async def similar_to(
    database: Database, principal: Principal, question: str, limit: int
) -> list[SimilarQuery]:
    """Tracked questions like `question`, the most similar first, the more asked among equals.

    Candidates hold one of its rarest words or a pair of them; the question itself is none. Exact up to what
    is cut: `HOLDERS` questions of each term, `COMPARED` candidates.
    """
    words = words_of(fold(question))
    if not words:
        return []
    async with database.read() as connection:
        tracked, counts = await word_counts(connection, principal, words)
        terms = looked_for_terms([word for word in words if word in counts], counts)
        if not terms:
            return []
        candidates = await holders_of_terms(connection, principal, terms, each=HOLDERS, limit=COMPARED)
    weights = {word: weight_of(counts.get(number, 0), tracked) for number, word in words.items()}
    ranked = [
        SimilarQuery(one, similarity(weights, distinct_words(one.folded)))
        for one in candidates
        if one.question != question
    ]
    ranked.sort(key=lambda found: (-found.similarity, -found.query.count, found.query.id))
    return [found for found in ranked if found.similarity >= LEAST_SIMILARITY][:limit]


def weight_of(count: int, tracked: int) -> float:
    """What a word tells that stands in `count` of `tracked` questions (pure): its inverse frequency."""
    return math.log1p(tracked / (1 + count))


def similarity(weights: Mapping[str, float], words: Collection[str]) -> float:
    """The weight of the shared words by that of all words of both, 0 to 1 (pure).

    A word of the other question only weighs as ours do on average.
    """
    average = sum(weights.values()) / len(weights)
    shared = sum(weights[word] for word in words if word in weights)
    foreign = average * sum(1 for word in words if word not in weights)
    return shared / (sum(weights.values()) + foreign) if shared else 0.0
