"""What a question asks of the legs (pure): its normal form and which leg to lean on."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from ragstone.errors import InvalidRequest
from ragstone.types import Collection, Weights

LEAN_DENSE = 0.25
"""Share that the dense leg keeps of its weight where the model does not know the language."""


def normalise_query(query: str, max_chars: int) -> str:
    """The question as both legs take it: NFC, white space folded, no NUL.

    Raises:
        InvalidRequest: nothing is left, or it is longer than `max_chars`.
    """
    text = " ".join(unicodedata.normalize("NFC", query.replace("\x00", " ")).split())
    text = text.encode("utf-8", "replace").decode("utf-8")
    if not text:
        raise InvalidRequest("The query is empty; ask for at least one word.")
    if len(text) > max_chars:
        raise InvalidRequest(
            f"The query has {len(text)} characters; at most {max_chars} are taken (limits.query_max_chars)."
        )
    return text


def default_weights(
    query: str, collections: Sequence[Collection], languages: frozenset[str], configured: Weights
) -> Weights:
    """The configured weights, leaning on the lexical leg where the embedding model is out of its depth.

    `languages` are those the model was trained on (ISO 639-1). A question is foreign to it when one of the
    collections is in another language, or when most of its letters are of another script than Latin and
    the model knows Latin-script languages only.
    """
    knows_collections = all(collection.language in languages for collection in collections)
    if knows_collections and not (is_mostly_non_latin(query) and languages <= LATIN_LANGUAGES):
        return configured
    return Weights(configured.lexical, configured.dense * LEAN_DENSE)


def is_mostly_non_latin(text: str) -> bool:
    """Whether more than half of the letters are of another script than Latin."""
    letters = [character for character in text if character.isalpha()]
    foreign = sum(1 for character in letters if not _is_latin(character))
    return foreign * 2 > len(letters)


def _is_latin(character: str) -> bool:
    return character.isascii() or unicodedata.name(character, "").startswith(("LATIN", "FULLWIDTH LATIN"))


LATIN_LANGUAGES = frozenset(
    {"en", "de", "fr", "es", "it", "nl", "pt", "sv", "da", "no", "fi", "pl", "tr", "ro", "hu"}
)
