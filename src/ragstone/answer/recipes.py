"""What makes results besides the request, as digests that are part of every key."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from ragstone.answer.prompt import PROMPT_VERSION
from ragstone.cache.keys import recipe_of

if TYPE_CHECKING:
    from ragstone.models.ports import Embedder
    from ragstone.settings import Settings


@dataclass(frozen=True, slots=True)
class Recipes:
    """Of a search alone, and of a whole answer.

    Servers of other versions, models or settings may share one tier: they never share an entry.
    """

    retrieval: str
    answer: str

    @classmethod
    def of(cls, settings: Settings, embedder: Embedder) -> Recipes:
        """The recipes of an engine."""
        retrieval = recipe_of(
            version("ragstone"), embedder.model_id, embedder.revision, settings.search.model_dump(mode="json")
        )
        answer = recipe_of(
            retrieval,
            PROMPT_VERSION,
            settings.answer.model_dump(mode="json"),
            # Whoever has the semantic cache off is never given what another got from it.
            settings.cache.semantic and settings.cache.semantic_threshold,
            settings.generator.model_dump(mode="json", exclude={"api_key", "fallbacks", "max_concurrent"}),
        )
        return cls(retrieval, answer)
