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
from ragstone.types import Hit, Span

if TYPE_CHECKING:
    from ragstone.answer.draft import Draft
    from ragstone.cache.cache import Cache
    from ragstone.models.ports import Prompt
    from ragstone.search.standing import Standings


@dataclass(frozen=True, slots=True)
class Place:
    """Where a generation is kept, and of which collections it is."""

    key: str
    collection_ids: tuple[str, ...]


class Evidence:
    """Finds and keeps generations by what they were made from."""

    def __init__(self, standings: Standings, cache: Cache, recipe: str) -> None:
        self._standings = standings
        self._cache = cache
        self._recipe = recipe

    async def of_prompt(self, draft: Draft, prompt: Prompt) -> Place | None:
        """The place of a generation; None when this request wants no cache."""
        return await self._place(draft, ("generated", prompt.system, prompt.user))

    async def of_passages(self, draft: Draft, hits: Sequence[Hit]) -> Place | None:
        """The place of a choice of sentences; None when this request wants no cache."""
        return await self._place(draft, ("extractive", *(hit.text for hit in hits[:MOST_PASSAGES])))

    async def find(self, draft: Draft, place: Place | None) -> Generated | None:
        """What was made from this evidence before."""
        found = None if place is None else await self._cache.get(GENERATION, place.key)
        if found is not None:
            draft.cache = "evidence"
        return found

    def keep(self, draft: Draft, place: Place | None, made: Generated, spent_s: float) -> None:
        """Keep what was made, unless a part failed meanwhile."""
        if place is None or draft.degraded:
            return
        cost = Cost(spent_s * 1000, tokens_of(made.usage))
        self._cache.put(GENERATION, place.key, made, cost=cost, collections=place.collection_ids)

    async def _place(self, draft: Draft, passages: tuple[str, ...]) -> Place | None:
        search = draft.request.search
        if not (search.use_cache and self._cache.is_on("generation")):
            return None
        standing = await self._standings.take(search, draft.deadline)
        key = EvidenceKey(
            reader=standing.reader,
            question=standing.request.query,
            passages=passages,
            temperature=draft.request.temperature,
            recipe=self._recipe,
        )
        return Place(key_of("generation", key), standing.collection_ids)


def quotes_of(chosen: Sequence[QuotedSentence], hits: Sequence[Hit]) -> tuple[tuple[int, int, int], ...]:
    """Sentences as places in their passages."""
    places = []
    for sentence in chosen:
        at = hits[sentence.passage_rank].span.start
        places.append((sentence.passage_rank, sentence.span.start - at, sentence.span.end - at))
    return tuple(places)


def sentences_at(quotes: Sequence[tuple[int, int, int]], hits: Sequence[Hit]) -> list[QuotedSentence]:
    """The sentences at these places of the passages of now."""
    found = []
    for rank, start, end in quotes:
        hit = hits[rank]
        span = Span(hit.span.start + start, hit.span.start + end)
        found.append(QuotedSentence(hit, Span(start, end).of(hit.text), span, rank))
    return found


async def again(draft: Draft, made: Generated) -> AsyncGenerator[str, None]:
    """A text that was generated from the same evidence before, in the pieces in which it came."""
    draft.usage = made.usage
    for text in made.deltas:
        yield text
