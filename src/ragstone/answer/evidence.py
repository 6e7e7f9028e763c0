"""Level 2 of the answer cache: what was made from a question and its passages, whatever the corpus version.

After a change elsewhere in the corpus, retrieval runs again; when it brings the very same passages, the text
that was made from them is used again, and its citations are bound anew to the chunks of now.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragstone.answer.quote import MOST_PASSAGES, QuotedSentence
from ragstone.answer.record import GENERATION, Generated, tokens_of
from ragstone.cache.cache import Cost
from ragstone.cache.keys import EvidenceKey, key_of
from ragstone.types import AnswerMode, Hit, Span

if TYPE_CHECKING:
    from ragstone.answer.draft import Draft
    from ragstone.answer.semantic import SemanticCache
    from ragstone.cache.cache import Cache
    from ragstone.models.ports import Prompt
    from ragstone.search.standing import Standing, Standings


@dataclass(frozen=True, slots=True)
class Place:
    """Where a generation is kept, and what it is made from besides the question."""

    key: str
    standing: Standing
    mode: AnswerMode
    passages: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A generation made before; passage n of it is the n-th of these, as it is now."""

    made: Generated
    passages: Sequence[Hit]


class Evidence:
    """Finds and keeps generations by what they were made from."""

    def __init__(self, standings: Standings, cache: Cache, recipe: str, semantic: SemanticCache) -> None:
        self._standings = standings
        self._cache = cache
        self._recipe = recipe
        self._semantic = semantic

    async def of_prompt(self, draft: Draft, prompt: Prompt, passages: Sequence[Hit]) -> Place | None:
        """The place of a generation; None when this request wants no cache."""
        return await self._place(draft, passages, (prompt.system, prompt.user))

    async def of_passages(self, draft: Draft, hits: Sequence[Hit]) -> Place | None:
        """The place of a choice of sentences; None when this request wants no cache."""
        passages = hits[:MOST_PASSAGES]
        return await self._place(draft, passages, tuple(hit.text for hit in passages))

    async def find(self, draft: Draft, place: Place | None) -> Found | None:
        """What was made from this evidence before, for this question or another wording of it."""
        trail = draft.timer.trail
        if place is None:
            trail.decide("generation", "off", "switched off" if draft.request.search.use_cache else "asked")
            return None
        made = await self._cache.get(GENERATION, place.key)
        if made is not None:
            draft.cache = "evidence"
            trail.decide("generation", "hit", "the same question and passages")
            self._semantic.keep(draft, place, made)
            return Found(made, place.passages)
        trail.decide("generation", "miss")
        found = await self._semantic.find(draft, place)
        if found is not None:
            draft.cache = "semantic"
        return found

    def keep(self, draft: Draft, place: Place | None, made: Generated, spent_s: float) -> None:
        """Keep what was made, unless a part failed meanwhile."""
        if place is None or draft.degraded:
            return
        cost = Cost(spent_s * 1000, tokens_of(made.usage))
        collections = place.standing.collection_ids
        self._cache.put(GENERATION, place.key, made, cost=cost, collections=collections)
        self._semantic.keep(draft, place, made)

    async def _place(self, draft: Draft, passages: Sequence[Hit], rendered: tuple[str, ...]) -> Place | None:
        search = draft.request.search
        if not (search.use_cache and self._cache.is_on("generation")):
            return None
        standing = await self._standings.take(search, draft.deadline)
        key = EvidenceKey(
            reader=standing.reader,
            question=standing.request.query,
            passages=(draft.mode, *rendered),
            temperature=draft.request.temperature,
            recipe=self._recipe,
        )
        return Place(key_of("generation", key), standing, draft.mode, tuple(passages))


def quotes_of(chosen: Sequence[QuotedSentence], hits: Sequence[Hit]) -> tuple[tuple[int, int, int], ...]:
    """Sentences as places in their passages."""
    places = []
    for sentence in chosen:
        at = hits[sentence.passage_rank].span.start
        places.append((sentence.passage_rank, sentence.span.start - at, sentence.span.end - at))
    return tuple(places)


def sentences_at(found: Found) -> list[QuotedSentence]:
    """The sentences that were chosen, in the passages of now."""
    chosen = []
    for rank, start, end in found.made.quotes:
        hit = found.passages[rank]
        span = Span(hit.span.start + start, hit.span.start + end)
        chosen.append(QuotedSentence(hit, Span(start, end).of(hit.text), span, rank))
    return chosen


async def again(draft: Draft, found: Found) -> AsyncGenerator[str, None]:
    """A text that was generated from the same evidence before, in the pieces in which it came."""
    draft.usage, draft.model = found.made.usage, found.made.model
    for text in found.made.deltas:
        yield text
