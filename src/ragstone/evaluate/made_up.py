"""Documents and questions that look natural to an index: Zipf-distributed words, sentences, topics (pure)."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from ragstone.evaluate.datasets import Entry

VOCABULARY = 20_000
TOPIC_WORDS = 60
SENTENCES = 4
"""Made-up words are three tokens each: a document of 130 tokens is one chunk of the usual size."""
SENTENCE_WORDS, QUESTION_WORDS = (6, 16), (3, 6)
_FUNCTION = ("the", "of", "and", "to", "in", "a", "is", "that", "for", "it", "as", "was", "with", "on", "by")
_ONSETS = "b br c ch d dr f fl g gr h j k l m n p pl pr qu r s sh sl st t tr v w"
_RIMES = "a al an ar ate e ed en er est i ic ide in ing ine ion o ock on or ory u un ure y"


class MadeUp:
    """A source of documents and questions that is the same for the same seed."""

    def __init__(self, seed: int = 5) -> None:
        self._choose = random.Random(seed)  # noqa: S311 - made-up text is no secret
        self._words = self._vocabulary()
        # Zipf's law with exponent 1, as natural text has it.
        self._weights = list(itertools.accumulate(1 / rank for rank in range(1, len(self._words) + 1)))

    def documents(self, count: int) -> Iterator[Entry]:
        """`count` documents of one topic each."""
        for number in range(count):
            topic = self._pick(TOPIC_WORDS)
            text = " ".join(self._sentence(topic, SENTENCE_WORDS) for _ in range(SENTENCES))
            yield Entry(f"made-up-{number}", " ".join(topic[:3]).capitalize(), text)

    def questions(self, count: int) -> list[str]:
        """`count` different questions of five to eight words, function words among them."""
        return [
            f"what {self._sentence(self._pick(6), QUESTION_WORDS)[:-1].lower()} {number}?"
            for number in range(count)
        ]

    def _sentence(self, topic: list[str], words: tuple[int, int]) -> str:
        length = self._choose.randint(*words)
        chosen = [
            self._choose.choice(_FUNCTION if at % 3 == 1 else topic)
            if self._choose.random() < 0.8
            else self._pick(1)[0]
            for at in range(length)
        ]
        return " ".join(chosen).capitalize() + "."

    def _pick(self, count: int) -> list[str]:
        return self._choose.choices(self._words, cum_weights=self._weights, k=count)

    def _vocabulary(self) -> list[str]:
        syllables = [onset + rime for onset in _ONSETS.split() for rime in _RIMES.split()]
        words = {
            "".join(self._choose.choices(syllables, k=self._choose.choice((1, 2, 2, 3))))
            for _ in range(VOCABULARY * 2)
        }
        return self._choose.sample(sorted(words), min(VOCABULARY, len(words)))
