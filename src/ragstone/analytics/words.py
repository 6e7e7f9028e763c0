"""What a question is compared by (pure): its folded form, its words, and the terms it is looked for by."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import blake2b
from itertools import combinations

from ragstone.index.analysis import prepare

WORD = re.compile(r"[^\W_]+")
RARE_WORDS = 4
"""Words of a question that it is looked for by."""
PAIRED_WORDS = 3
CROWDED = 2_000
"""Questions after which a word alone finds nothing any more: pairs do."""


def fold(text: str) -> str:
    """The form that prefixes are compared in: NFKC, case folded, accents kept, white space single."""
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).split())


def fold_prefix(text: str) -> str:
    """The folded form of the beginning of a question: a space at its end is kept, as a word ends there."""
    folded = fold(text)
    return f"{folded} " if folded and text[-1:].isspace() else folded


def digest_of(question: str) -> bytes:
    """16 bytes that stand for the question."""
    return blake2b(question.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def distinct_words(folded: str) -> frozenset[str]:
    """The words of a folded question; runs of CJK count as their bigrams."""
    return frozenset(WORD.findall(prepare(folded)))


def words_of(folded: str) -> dict[int, str]:
    """The distinct words by their digests."""
    return {_number(word): word for word in distinct_words(folded)}


def rarest(words: Collection[int], counts: Mapping[int, int]) -> list[int]:
    """Words by the number of questions they stand in, rarest first."""
    return sorted(words, key=lambda word: (counts.get(word, 0), word))


def stored_terms(words: Collection[int], counts: Mapping[int, int]) -> set[int]:
    """What a question is found by: its rarest words, unless half the world has them, and pairs of those."""
    rare = rarest(words, counts)[:RARE_WORDS]
    pairs = set(paired(rare[:PAIRED_WORDS]))
    alone = {word for word in rare if counts.get(word, 0) <= CROWDED}
    return alone | pairs or set(rare)


def looked_for_terms(words: Collection[int], counts: Mapping[int, int]) -> list[int]:
    """What to look for similar questions by, the most telling first.

    More pairs than are stored of one question: it may have been stored when other words were rare.
    """
    rare = rarest(words, counts)[: RARE_WORDS + 1]
    return [*paired(rare), *rare]


def paired(words: Sequence[int]) -> Iterable[int]:
    """A term for every two words."""
    return [_number(f"{min(pair)} {max(pair)}") for pair in combinations(words, 2)]


def _number(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)
