"""Answers as bytes and back (pure): what the answer caches keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from ragstone.answer.events import AnswerEvent, Checked, Cited, Delta, Finished, Retrieved, Started
from ragstone.cache.cache import Kind
from ragstone.search.record import HitRecord
from ragstone.types import Answer, AnswerId, AnswerMode, CacheUse, Citation, Usage


class AnswerRecord(msgspec.Struct, array_like=True):
    """A whole answer with the pieces in which its text came, at one corpus version."""

    mode: AnswerMode
    deltas: tuple[str, ...]
    text: str
    citations: tuple[Citation, ...]
    citation_count: int
    hits: tuple[HitRecord, ...]
    usage: Usage | None
    corpus_version: int
    model: str | None = None
    answer_id: str | None = None
    """Of the answer that was made; those that are given from here have ids of their own."""

    @classmethod
    def of(cls, events: Sequence[AnswerEvent]) -> AnswerRecord | None:
        """The record of a finished answer; None when it is not one to keep: degraded, begun again, failed."""
        finished = next((event.answer for event in events if isinstance(event, Finished)), None)
        deltas = [event for event in events if isinstance(event, Delta)]
        if finished is None or finished.degraded or any(delta.restarts for delta in deltas):
            return None
        return cls(
            finished.mode,
            tuple(delta.text for delta in deltas),
            finished.text,
            finished.citations,
            sum(event.citation_count for event in events if isinstance(event, Checked)),
            tuple(HitRecord.of(hit) for hit in finished.hits),
            finished.usage,
            finished.corpus_version,
            finished.model,
            finished.answer_id,
        )

    def replay(self, answer_id: AnswerId) -> Iterator[AnswerEvent]:
        """The events in the order in which they came first, all but the end; not numbered."""
        hits = tuple(record.hit() for record in self.hits)
        yield Started(0, answer_id, self.mode)
        yield Retrieved(0, hits, self.corpus_version, ())
        for text in self.deltas:
            yield Delta(0, text)
        for citation in self.citations:
            yield Cited(0, citation)
        yield Checked(0, self.citation_count, len(self.citations))

    def answer(self, answer_id: AnswerId, timings_ms: Mapping[str, float], cache: CacheUse) -> Answer:
        """The answer under an id of its own."""
        return Answer(
            answer_id=answer_id,
            text=self.text,
            mode=self.mode,
            citations=self.citations,
            hits=tuple(record.hit() for record in self.hits),
            usage=self.usage,
            corpus_version=self.corpus_version,
            degraded=(),
            timings_ms=timings_ms,
            cache=cache,
            model=self.model,
        )


class Generated(msgspec.Struct, array_like=True):
    """What was made from a question and its passages: a generator's text, or the sentences to quote."""

    deltas: tuple[str, ...] = ()
    usage: Usage | None = None
    quotes: tuple[tuple[int, int, int], ...] = ()
    """Passage (from 0), start and end, counted from the start of that passage."""
    model: str | None = None


ANSWER = Kind("answer", msgspec.msgpack.encode, msgspec.msgpack.Decoder(AnswerRecord).decode)
"""Level 1."""
GENERATION = Kind("generation", msgspec.msgpack.encode, msgspec.msgpack.Decoder(Generated).decode)
"""Level 2."""


def tokens_of(usage: Usage | None) -> int:
    """All tokens of a generation; 0 where none is known."""
    return 0 if usage is None else usage.prompt_tokens + usage.completion_tokens
