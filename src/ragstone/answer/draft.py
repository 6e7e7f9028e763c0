"""An answer while it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from ragstone.answer.cite import citation
from ragstone.answer.prompt import PROMPT_VERSION
from ragstone.answer.quote import QuotedSentence
from ragstone.deadline import Deadline
from ragstone.errors import RagstoneError
from ragstone.models.generator_chain import what_happened
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


NO_EVIDENCE = "No passage in the searched collections answers this."

log = structlog.get_logger(__name__)


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

    def note_failure(self, error: RagstoneError) -> None:
        """The generator gave no answer."""
        # Its message may quote the server, and that the prompt.
        log.warning("generator_failed", answer_id=self.answer_id, code=error.code, **error.details)
        self.degraded += what_happened(error)
        self.timer.trail.failures.append(error.code)

    def begin_quoting(self) -> bool:
        """Forget what a generator has said; whether that was anything."""
        was_begun = bool(self.text)
        self.mode, self.text, self.usage, self.model = "extractive", "", None, None
        return was_begun

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
    quotes = "\n".join(f"“{' '.join(found.quote.split())}” [{found.marker}]" for found in citations)
    return quotes or NO_EVIDENCE
