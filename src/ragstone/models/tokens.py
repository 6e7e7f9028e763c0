"""The embedding model's tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from ragstone.models.card import TOKENIZER_FILE, damaged

SPECIAL_TOKENS = 2
"""[CLS] before and [SEP] after every text."""
LONGEST_WORD = 48
REMEMBERED_WORDS = 65_536
"""Documents repeat their words: a second look at 2.5 million characters takes half as long."""


class ModelTokens:
    """Cuts text into the model's tokens; safe to use from several threads."""

    def __init__(self, folder: Path, max_tokens: int) -> None:
        """Load `tokenizer.json`.

        Raises:
            NotReady: the file is damaged.
        """
        from tokenizers import Tokenizer

        self._path = folder / TOKENIZER_FILE
        try:
            self._tokenizer = Tokenizer.from_file(str(self._path))
        except Exception as error:
            raise damaged(self._path, error) from error
        # The published file pads and truncates to 128; windows are cut here instead.
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._first = self._id_of("[CLS]")
        self._last = self._id_of("[SEP]")
        self._room = max_tokens - SPECIAL_TOKENS
        self._count_word = lru_cache(REMEMBERED_WORDS)(self._count)

    def count(self, text: str) -> int:
        """How many tokens `text` is, special tokens not included, however long it is."""
        return self._count_word(text) if len(text) <= LONGEST_WORD else self._count(text)

    def _count(self, text: str) -> int:
        return len(self._tokenizer.encode(encodable(text), add_special_tokens=False).ids)

    def windows(self, texts: Sequence[str]) -> list[list[int]]:
        """The token ids of each text, cut to the model's window, special tokens included."""
        readable = [encodable(text) for text in texts]
        encodings = self._tokenizer.encode_batch_fast(readable, add_special_tokens=False)
        return [[self._first, *encoding.ids[: self._room], self._last] for encoding in encodings]

    def _id_of(self, special: str) -> int:
        found: int | None = self._tokenizer.token_to_id(special)
        if found is None:
            raise damaged(self._path, f"it has no {special} token")
        return found


def encodable(text: str) -> str:
    """`text` with lone surrogates as "?": JSON can carry them, UTF-8 and the tokenizer cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")
