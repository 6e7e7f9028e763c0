"""Reports over the log: statistics, documents, relevance, patterns, cost."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from ragstone.analytics.words import WORD, fold
from ragstone.index.analysis import prepare
from ragstone.index.stop_words import STOP_WORDS
from ragstone.store.query_log_reads import (
    DocumentUse,
    LogCounts,
    LogRange,
    Spending,
    counts,
    hours,
    latencies,
    relevances,
    spending,
    texts,
)

if TYPE_CHECKING:
    from ragstone.store.log_file import LogConnection

EMPTY_WORDS = frozenset[str]().union(*STOP_WORDS.values())
BINS = 10
TERMS_OF = 20_000
"""Different questions whose words are counted, the most asked ones."""
CountName = Literal[
    "asked",
    "succeeded",
    "without_hits",
    "low_relevance",
    "unanswered",
    "degraded",
    "reranked",
    "hybrid",
    "expanded",
    "expansions",
    "prompt_tokens",
    "completion_tokens",
]
LENGTHS = (1, 3, 6, 10, 20)
"""Words up to which questions are counted together."""
Feature = Literal["door", "kind", "mode", "cache", "answer_mode", "error_code"]
FEATURES: tuple[Feature, ...] = get_args(Feature)


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of so many values; None of all when there is none."""

    count: int
    mean: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None

    @classmethod
    def of(cls, values: Sequence[float]) -> Percentiles:
        """Of these."""
        if not values:
            return cls(0)
        found = np.asarray(values, dtype=np.float64)
        p50, p95, p99 = (float(one) for one in np.percentile(found, (50, 95, 99)))
        return cls(len(values), float(found.mean()), p50, p95, p99, float(found.max()))


@dataclass(frozen=True, slots=True)
class Group:
    """Requests that have one value in common."""

    value: str | int | None
    asked: int
    succeeded: int
    mean_ms: float | None


@dataclass(frozen=True, slots=True)
class LogStatistics:
    """What was asked in a range of time, and how it went."""

    range: LogRange
    counts: Sequence[LogCounts]
    total_ms: Percentiles
    retrieval_ms: Percentiles
    generation_ms: Percentiles

    def sum(self, name: CountName) -> int:
        """Of all requests."""
        return sum(getattr(found, name) for found in self.counts)

    @property
    def cost(self) -> float | None:
        """None where no price was known."""
        known = [found.cost for found in self.counts if found.cost is not None]
        return sum(known) if known else None

    def by(self, feature: Feature | Literal["day"]) -> list[Group]:
        """Requests by the values of a feature, most asked first; by day, oldest first."""
        parts: dict[str | int | None, list[LogCounts]] = defaultdict(list)
        for found in self.counts:
            parts[getattr(found, feature)].append(found)
        groups = [_group(value, found) for value, found in parts.items()]
        if feature == "day":
            return sorted(groups, key=lambda group: int(group.value or 0))
        return sorted(groups, key=lambda group: (-group.asked, str(group.value)))


@dataclass(frozen=True, slots=True)
class Relevance:
    """How well the best hits of questions fit: counts of ten equal bins from 0 to 1."""

    bins: Sequence[int]
    percentiles: Percentiles
    low: int
    """Below `analytics.low_relevance`."""


@dataclass(frozen=True, slots=True)
class Patterns:
    """How people ask: by words, time and length."""

    terms: Sequence[tuple[str, int]]
    """Askings that a word stands in, most frequent first, stop words left out."""
    hours: Mapping[tuple[int, int], int]
    """By weekday (Monday is 0) and hour, UTC."""
    lengths: Sequence[tuple[int | None, int]]
    """Words up to which, askings; the last is open."""
    mean_words: float | None
    different: int
    """Questions that were looked at."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What generation used."""

    by_model: Sequence[Spending]
    by_day: Sequence[Spending]


@dataclass(frozen=True, slots=True)
class NamedDocument:
    """How a document was used, with its name; None of it when it is gone or not to be read."""

    use: DocumentUse
    title: str | None
    source: str | None
    collection: str | None


def read_statistics(connection: LogConnection, wanted: LogRange, low_relevance: float) -> LogStatistics:
    """Everything at once."""
    found = counts(connection, wanted, low_relevance)
    times = latencies(connection, wanted)
    total, retrieval, generation = (
        Percentiles.of([value for row in times if (value := row[at]) is not None]) for at in range(3)
    )
    return LogStatistics(wanted, found, total, retrieval, generation)


def _group(value: str | int | None, found: Sequence[LogCounts]) -> Group:
    timed = sum(one.timed for one in found)
    mean = sum(one.total_ms for one in found) / timed if timed else None
    return Group(value, sum(one.asked for one in found), sum(one.succeeded for one in found), mean)


def read_relevance(connection: LogConnection, wanted: LogRange, low_relevance: float) -> Relevance:
    """Of the newest requests that searched themselves."""
    values = relevances(connection, wanted)
    bins, _ = np.histogram(values, bins=BINS, range=(0.0, 1.0))
    low = sum(value < low_relevance for value in values)
    return Relevance([int(count) for count in bins], Percentiles.of(values), low)


def read_patterns(connection: LogConnection, wanted: LogRange, limit: int) -> Patterns:
    """Words and lengths of the most asked questions, hours of all askings."""
    asked = texts(connection, wanted, TERMS_OF)
    terms: Counter[str] = Counter()
    lengths: Counter[int | None] = Counter()
    words = 0
    for question, count in asked:
        folded = fold(question)
        for term in set(WORD.findall(prepare(folded))) - EMPTY_WORDS:
            terms[term] += count
        length = len(folded.split())
        lengths[next((bound for bound in LENGTHS if length <= bound), None)] += count
        words += length * count
    total = sum(count for _, count in asked)
    return Patterns(
        terms=sorted(terms.items(), key=lambda one: (-one[1], one[0]))[:limit],
        hours=hours(connection, wanted),
        lengths=[(bound, lengths[bound]) for bound in (*LENGTHS, None)],
        mean_words=words / total if total else None,
        different=len(asked),
    )


def read_costs(connection: LogConnection, wanted: LogRange) -> Costs:
    """Tokens and their cost, by model and by day."""
    return Costs(
        by_model=spending(connection, wanted, by_day=False), by_day=spending(connection, wanted, by_day=True)
    )
