"""What a source is: something that lists items, each with a stable uri and a way to its content."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ragstone.errors import RagstoneError
from ragstone.ingest.request import IngestRequest
from ragstone.store.sources import KnownItem
from ragstone.types import DocumentId, Metadata, RawFile, Written


@dataclass(frozen=True, slots=True)
class SourceItem:
    """A document-to-be: equal fingerprints mean equal content."""

    uri: str
    """Stable; becomes the document's `source`."""
    fingerprint: str
    load: Callable[[], Awaitable[RawFile]]
    """Reads the content; called only when the fingerprint is new."""
    metadata: Metadata = field(default_factory=dict)
    memo: Metadata = field(default_factory=dict)
    """Given back with the known items at the next listing."""


@dataclass(frozen=True, slots=True)
class FailedItem:
    """An item that could not be looked at; what is stored of it stays."""

    uri: str
    error: RagstoneError


@dataclass(frozen=True, slots=True)
class Incomplete:
    """The listing ends before its end: what it did not name may still be there."""

    reason: str


Listed = SourceItem | FailedItem | Incomplete


class Source(Protocol):
    """Lists what there is."""

    finds_moves: bool
    """Whether content that is new under one uri and gone under another is the same document."""

    def items(self, known: Mapping[str, KnownItem]) -> AsyncGenerator[Listed, None]:
        """Everything that the source holds, each uri once; `known` is what was stored, by uri.

        Raises:
            RagstoneError: the source cannot be listed; nothing of it is removed then.
        """
        ...


class Intake(Protocol):
    """The way of documents into the store."""

    async def submit(self, request: IngestRequest) -> Written:
        """Take a document in, or replace or move the one it names.

        Raises:
            DocumentRejected: it cannot be taken in.
        """
        ...

    async def remove(self, document_id: DocumentId) -> None:
        """Remove a document; one that is gone already is no error."""
        ...
