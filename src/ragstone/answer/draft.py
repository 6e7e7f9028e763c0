"""An answer while it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ragstone.answer.cite import citation
from ragstone.answer.prompt import PROMPT_VERSION
from ragstone.answer.quote import QuotedSentence
from ragstone.deadline import Deadline
from ragstone.types import (
    Answer,
    AnswerId,
    AnswerMode,
    AnswerRequest,
    CacheUse,
    Citation,
    Hit,
    SearchResult,
    Span,
    Usage,
)

if TYPE_CHECKING:
    from ragstone.telemetry.stages import StageTimer


@dataclass(slots=True)
class Draft:
    """An answer while it is made."""

    answer_id: AnswerId
    request: AnswerRequest
    deadline: Deadline
    timer: StageTimer
    mode: AnswerMode
    result: SearchResult | None = None
    text: str = ""
    citations: list[Citation] = field(default_factory=list)
    usage: Usage | None = None
    degraded: list[str] = field(default_factory=list)
    cache: CacheUse = "miss"
    model: str | None = None

    def read_by(self, model: str, passages: Sequence[Hit]) -> None:
        """Note what a generator is given to read."""
        trail = self.timer.trail
        trail.model, trail.prompt_version, trail.passages = model, PROMPT_VERSION, tuple(passages)

    def answer(self, result: SearchResult) -> Answer:
        """The finished answer."""
        return Answer(
            answer_id=self.answer_id,
            text=self.text,
            mode=self.mode,
            citations=tuple(self.citations),
            hits=result.hits,
            usage=self.usage,
            corpus_version=result.corpus_version,
            degraded=tuple(self.degraded),
            timings_ms=self.timer.timings_ms(),
            cache=self.cache if self.request.search.use_cache else "off",
            model=self.model,
        )


def sentence_citation(marker: int, sentence: QuotedSentence) -> Citation:
    """The citation of a quoted sentence."""
    start = sentence.span.start - sentence.hit.span.start
    return citation(marker, sentence.hit, Span(start, start + len(sentence.text)))


def quoted(citations: Sequence[Citation]) -> str:
    """One quote per line, white space folded for reading; the citation keeps the exact characters."""
    return "\n".join(f"“{' '.join(found.quote.split())}” [{found.marker}]" for found in citations)
