"""The semantic cache: what was generated for another wording of the question, from the same evidence.

Off by default. Retrieval has run for the new question already. Questions that were answered from the same
passages are candidates; one is taken when its words agree (`agree`) and its embedding is near. The passages
that its answer rests on must be among the new question's own; its citations are bound to them as they stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from ragstone.answer.agreement import agree, folded
from ragstone.answer.cite import MARKER
from ragstone.answer.evidence import Found
from ragstone.answer.record import GENERATION, Generated
from ragstone.cache.cache import Kind
from ragstone.cache.keys import SemanticKey, digest_of, key_of
from ragstone.errors import DependencyFailed, Overloaded
from ragstone.types import Hit

if TYPE_CHECKING:
    from ragstone.answer.draft import Draft
    from ragstone.answer.evidence import Place
    from ragstone.cache.cache import Cache
    from ragstone.models.ports import Embedder
    from ragstone.search.standing import Standings
    from ragstone.settings import CacheSettings

LANGUAGE = "en"
"""The language whose questions can be compared."""
LEADING = 3
"""So many leading passages have to be the same, in any order. All six of an extractive answer are the same
for 7 % of SQuAD's paraphrases, the first three for 19 % (323 pairs, November 2026)."""
MOST_WORDINGS = 8
"""Questions remembered for one evidence; the newest stay."""


class Wording(msgspec.Struct, array_like=True, frozen=True):
    """A question that was answered: the key of its generation, and its passages in the order they had."""

    question: str
    generation: str
    passages: tuple[str, ...]


SEMANTIC: Kind[tuple[Wording, ...]] = Kind(
    "semantic",
    msgspec.msgpack.encode,
    msgspec.msgpack.Decoder(tuple[Wording, ...]).decode,
    # Questions are kept in the memory of this process only.
    keep="here",
)


class SemanticCache:
    """Finds generations by another wording of their question."""

    def __init__(
        self,
        standings: Standings,
        cache: Cache,
        embedder: Embedder,
        settings: CacheSettings,
        recipe: str,
    ) -> None:
        self._standings = standings
        self._cache = cache
        self._embedder = embedder
        self._threshold = settings.semantic_threshold
        self._recipe = recipe

    async def find(self, draft: Draft, place: Place) -> Found | None:
        """The generation for an agreeing question that was made from the same evidence."""
        trail = draft.timer.trail
        if not self._cache.is_on("semantic"):
            trail.decide("semantic", "off", "switched off")
            return None
        question = place.standing.request.query
        wording = self._cache.choose(
            SEMANTIC, self._key(draft, place), lambda kept: _agreeing(kept, question)
        )
        if wording is None:
            trail.decide("semantic", "miss", "no wording that agrees, of the same passages")
            return None
        if not await self._is_comparable(draft, wording.question, question):
            trail.decide("semantic", "miss", "another language, or embeddings too far apart")
            return None
        made = await self._cache.get(GENERATION, wording.generation)
        found = None if made is None else _bound(made, wording.passages, place.passages)
        why = "a wording that agrees, of the same passages" if found else "its answer rests on other passages"
        trail.decide("semantic", "hit" if found else "miss", why)
        return found

    def keep(self, draft: Draft, place: Place, made: Generated) -> None:
        """Remember the question of a generation; one that rests on no passage is no answer to share."""
        if not (self._cache.is_on("semantic") and _cited(made)):
            return
        key = self._key(draft, place)
        wording = Wording(place.standing.request.query, place.key, tuple(map(_digest, place.passages)))
        collections = place.standing.collection_ids
        self._cache.renew(SEMANTIC, key, lambda known: _with(wording, known or ()), collections)

    async def _is_comparable(self, draft: Draft, a: str, b: str) -> bool:
        """Whether the collections are in the language of the rules, and the embeddings near."""
        collections = await self._standings.resolve(draft.request.search, draft.deadline)
        if any(collection.language != LANGUAGE for collection in collections):
            return False
        try:
            first = await self._embedder.embed_query(a, draft.deadline)
            second = await self._embedder.embed_query(b, draft.deadline)
        except (DependencyFailed, Overloaded):
            return False
        return float(first @ second) >= self._threshold

    def _key(self, draft: Draft, place: Place) -> str:
        key = SemanticKey(
            reader=place.standing.reader,
            collection_ids=place.standing.collection_ids,
            corpus_version=place.standing.corpus_version,
            mode=place.mode,
            evidence=tuple(sorted(map(_digest, place.passages[:LEADING]))),
            temperature=draft.request.temperature,
            recipe=self._recipe,
        )
        return key_of("semantic", key)


def _with(wording: Wording, known: Sequence[Wording]) -> tuple[Wording, ...]:
    others = [one for one in known if folded(one.question) != folded(wording.question)]
    return (wording, *others[: MOST_WORDINGS - 1])


def _agreeing(kept: Sequence[Wording], question: str) -> Wording | None:
    return next((wording for wording in kept if agree(wording.question, question)), None)


def _bound(made: Generated, passages: Sequence[str], hits: Sequence[Hit]) -> Found | None:
    """The generation over the passages of now, in its own order; None when one that it cites is not there."""
    now = {_digest(hit): hit for hit in reversed(hits)}
    if any(passages[rank] not in now for rank in _cited(made)):
        return None
    # What it does not cite is never looked up: any passage may stand there.
    return Found(made, [now.get(passage, hits[0]) for passage in passages])


def _cited(made: Generated) -> set[int]:
    """The passages that a generation rests on, from 0."""
    marked = {int(found[1]) - 1 for found in MARKER.finditer("".join(made.deltas))}
    return marked | {rank for rank, _, _ in made.quotes}


def _digest(hit: Hit) -> str:
    """What a passage says where it is read: its text under its title, section and page."""
    return digest_of(hit.title, hit.section, hit.page, hit.text)
