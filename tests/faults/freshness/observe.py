"""From what a door returned to a record of it (pure)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from ragstone.answer.events import AnswerEvent, Checked, Cited, Delta, Finished, Retrieved, Started
from ragstone.types import Answer, Citation, Hit, SearchRequest, SearchResult
from tests.faults.freshness.records import Kind, Read, moment
from tests.faults.freshness.texts import GENERATION, TOKEN, Question


def tokens(*texts: str) -> tuple[str, ...]:
    """The tokens in these texts, each once, in order."""
    return tuple(dict.fromkeys(found.group() for text in texts for found in TOKEN.finditer(text)))


def shown(hits: Sequence[Hit]) -> tuple[str, ...]:
    """The tokens that hits show."""
    return tokens(*(hit.text for hit in hits))


def said(answer: Answer) -> tuple[str, ...]:
    """The tokens that an answer speaks of."""
    return tokens(answer.text, *(citation.quote for citation in answer.citations))


def generation_in(text: str) -> str | None:
    """The name of the generation that a text is of; None when no generator made it."""
    found = GENERATION.search(text)
    return found and found.group()


def text_digest(answer: Answer) -> str:
    """Of the text and the quotes, wherever they stand."""
    return _digest(answer.text, answer.mode, *(citation.quote for citation in answer.citations))


def whole_digest(answer: Answer, events: Sequence[AnswerEvent] = ()) -> str:
    """Of everything that is the same when an answer is given again, and of the events when it is streamed.

    Scores are left out: they change while an index tidies up, at one and the same version.
    """
    deltas = [f"{event.name} {getattr(event, 'text', '')}" for event in events]
    hits = [f"{hit.chunk_id} {hit.text} {hit.span}" for hit in answer.hits]
    return _digest(answer.text, repr(answer.citations), repr(answer.usage), *hits, *deltas)


def faults_of_answer(answer: Answer) -> tuple[str, ...]:
    """Citations that are of no hit, or quote what is not in it."""
    texts = {hit.chunk_id: hit for hit in answer.hits}
    return tuple(
        f"[{citation.marker}] quotes what {citation.chunk_id} does not say"
        for citation in answer.citations
        if not _is_exact(citation, texts.get(citation.chunk_id))
    )


def faults_of_stream(events: Sequence[AnswerEvent]) -> tuple[str, ...]:
    """What in a stream of events is not as in the whole answer at its end."""
    if not events or not isinstance(events[-1], Finished):
        return (f"the stream ends with {events[-1:]}",)
    answer = events[-1].answer
    first = next((event for event in events if isinstance(event, Started)), None)
    hits = next((event.hits for event in events if isinstance(event, Retrieved)), None)
    found = {
        "sequence": [event.seq for event in events] == list(range(1, len(events) + 1)),
        "order": _is_in_order(events),
        "id": first is not None and first.answer_id == answer.answer_id,
        "hits": hits == answer.hits,
        "text": _text(events) == answer.text,
        "citations": tuple(event.citation for event in events if isinstance(event, Cited))
        == answer.citations,
    }
    return tuple(f"the stream has another {name}" for name, is_right in found.items() if not is_right)


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()


def _is_exact(citation: Citation, hit: Hit | None) -> bool:
    if hit is None or citation.document_id != hit.document_id:
        return False
    start = citation.span.start - hit.span.start
    return hit.text[start : start + len(citation.quote)] == citation.quote


def _text(events: Iterable[AnswerEvent]) -> str:
    text = ""
    for event in events:
        if isinstance(event, Delta):
            text = event.text if event.restarts else text + event.text
    return text


def _is_in_order(events: Sequence[AnswerEvent]) -> bool:
    order = (Started, Retrieved, Delta, Cited, Checked, Finished)
    ranks = [order.index(type(event)) for event in events if isinstance(event, order)]
    return ranks == sorted(ranks) and len(ranks) == len(events)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question on its way; each method is the record of its response, which came just now."""

    process: int
    question: Question
    request: SearchRequest
    sent: int

    def found(self, result: SearchResult) -> Read:
        """Of a search."""
        return self._read("search", result.corpus_version, result.cache, result.degraded, result.hits)

    def answered(self, answer: Answer, kind: Kind = "ask", events: Sequence[AnswerEvent] = ()) -> Read:
        """Of a whole answer."""
        read = self._read(kind, answer.corpus_version, answer.cache, answer.degraded, answer.hits)
        return msgspec.structs.replace(
            read,
            said=said(answer),
            generation=generation_in(answer.text),
            text=text_digest(answer),
            whole=whole_digest(answer, events),
            faults=faults_of_answer(answer),
        )

    def streamed(self, events: Sequence[AnswerEvent]) -> Read:
        """Of an answer that came as events."""
        faults = faults_of_stream(events)
        if not isinstance(events[-1], Finished):
            return msgspec.structs.replace(self._read("stream", 0, "off", (), ()), faults=faults)
        read = self.answered(events[-1].answer, "stream", events)
        return msgspec.structs.replace(read, faults=(*faults, *read.faults))

    def _read(
        self, kind: Kind, version: int, cache: str, degraded: tuple[str, ...], hits: Sequence[Hit]
    ) -> Read:
        groups = self.request.principal.access_groups
        return Read(
            kind=kind,
            process=self.process,
            sent=self.sent,
            ended=moment(),
            tenant=self.request.principal.tenant_id,
            groups=None if groups is None else tuple(sorted(groups)),
            collections=self.request.collections,
            question=self.question.words,
            finds_all=self.question.finds_all,
            version=version,
            cache=cache,
            degraded=degraded,
            shown=shown(hits),
        )
