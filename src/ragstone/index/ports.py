"""What a derived index is to the rest: apply changes, give candidates."""

from __future__ import annotations

from collections.abc import Sequence, Set as AbstractSet
from typing import Protocol

from ragstone.store.passages import IndexedChunk
from ragstone.types import Candidate, DocumentKey, Matrix, Vector


class LexicalIndex(Protocol):
    """Chunks of one collection by their words. Calls block."""

    def apply(self, gone: Sequence[DocumentKey], chunks: Sequence[IndexedChunk]) -> None:
        """Drop every chunk of the documents in `gone`, then add `chunks`; visible after `commit`."""
        ...

    def drop_chunks(self, keys: Sequence[int]) -> None:
        """Drop chunks by their own keys; visible after `commit`. Unknown keys are passed over."""
        ...

    def keys_of(self, document_key: DocumentKey) -> set[int]:
        """The keys of one document's chunks, as of the last commit."""
        ...

    def commit(self) -> None:
        """Make what was applied durable and visible."""
        ...

    def search(self, query: str, limit: int, allowed: AbstractSet[int] | None) -> list[Candidate]:
        """Up to `limit` chunks, best BM25 first, ties by key; `allowed` holds document keys.

        Of several that tie at the limit, which ones come in is left to the index.

        Raises:
            IndexFailed: the index cannot be read.
        """
        ...

    def close(self) -> None:
        """Let go of files and memory."""
        ...


class VectorIndex(Protocol):
    """Chunks of one collection by their embeddings. Calls block; searches may run beside one `apply`."""

    def apply(
        self, gone: Sequence[DocumentKey], matrix: Matrix, keys: Sequence[int], document_keys: Sequence[int]
    ) -> None:
        """Drop every chunk of the documents in `gone`, then add rows of `matrix`; visible at once."""
        ...

    def keys_of(self, document_key: DocumentKey) -> set[int]:
        """The keys of one document's live chunks."""
        ...

    def drop_chunks(self, document_key: DocumentKey, keys: AbstractSet[int]) -> None:
        """Drop these chunks of one document; visible at once."""
        ...

    def search(self, vector: Vector, limit: int, allowed: AbstractSet[int] | None) -> list[Candidate]:
        """Up to `limit` chunks, highest cosine first, ties by key; `allowed` holds document keys."""
        ...

    @property
    def size(self) -> int:
        """How many live chunks it holds."""
        ...
