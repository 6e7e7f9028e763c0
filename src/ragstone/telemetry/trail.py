"""What is noted of one request while it runs: an answer's trace is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal

from ragstone.types import (
    Candidate,
    ChunkKey,
    Citation,
    Collection,
    Hit,
    ScoreBreakdown,
    SearchRequest,
    Weights,
)

KEPT_CANDIDATES = 20
"""Of each leg, and of the fused ranking."""

CacheLevel = Literal["rendered", "answer", "retrieval", "query_embedding", "generation", "semantic"]
CacheOutcome = Literal["off", "miss", "hit", "shared"]


@dataclass(frozen=True, slots=True)
class StageRun:
    """One run of a stage, in seconds since the request began."""

    name: str
    start_s: float
    spent_s: float


@dataclass(frozen=True, slots=True)
class CacheDecision:
    """What one cache had for the request, and why it was asked nothing or kept nothing."""

    level: CacheLevel
    outcome: CacheOutcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LegNote:
    """What a leg gave: how many candidates, the first of them, or why none."""

    count: int
    first: tuple[Candidate, ...]
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class CitationNote:
    """A citation that was made, and whether its quote still stood in the store when it was read again."""

    citation: Citation
    is_exact: bool


@dataclass(slots=True)
class SearchNote:
    """How one search came to its ranking; of the last attempt when indexes had to catch up."""

    request: SearchRequest
    collections: tuple[Collection, ...] = ()
    weights: Weights = field(default_factory=Weights)
    fusion: str = ""
    depth: int = 0
    attempts: int = 0
    legs: dict[str, LegNote] = field(default_factory=dict)
    ranked_count: int = 0
    ranked: tuple[tuple[ChunkKey, ScoreBreakdown], ...] = ()


_present: ContextVar[Trail | None] = ContextVar("ragstone_trail", default=None)


def present_trail() -> Trail | None:
    """The trail of the request that this task runs a stage of."""
    return _present.get()


def set_trail(trail: Trail | None) -> Trail | None:
    """What this task runs now is a stage of that request; gives back what was there before."""
    before = _present.get()
    _present.set(trail)
    return before


@dataclass(slots=True)
class Trail:
    """Everything noted of a request so far."""

    stages: list[StageRun] = field(default_factory=list)
    caches: list[CacheDecision] = field(default_factory=list)
    search: SearchNote | None = None
    passages: tuple[Hit, ...] = ()
    """What the generator read, or sentences were chosen from, in order."""
    prompt_version: str | None = None
    model: str | None = None
    temperature: float | None = None
    citations: list[CitationNote] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """Codes of what went wrong on the way and was made up for."""
    repeats: str | None = None
    """The answer that this one gives again."""

    @property
    def is_rendered(self) -> bool:
        """Whether a response was sent again as it was."""
        return any(made.level == "rendered" for made in self.caches)

    def decide(self, level: CacheLevel, outcome: CacheOutcome, reason: str = "") -> None:
        """Note what a cache had."""
        self.caches.append(CacheDecision(level, outcome, reason))

    def check(self, made: Sequence[Citation], exact: Sequence[Citation]) -> None:
        """Note which citations still stood; `exact` are those, by marker."""
        standing = {citation.marker: citation for citation in exact}
        self.citations = [
            CitationNote(standing.get(citation.marker, citation), citation.marker in standing)
            for citation in made
        ]
