"""What is asked of the pipeline: a file, where it goes, and what it replaces."""

from __future__ import annotations

from dataclasses import dataclass

from ragstone.errors import InvalidRequest
from ragstone.store.job_rows import Lease
from ragstone.types import DEFAULT_COLLECTION, LOCAL_OWNER, DocumentId, Metadata, Principal, RawFile

INLINE_NAME = "inline.md"


def inline_file(text: str, max_chars: int) -> RawFile:
    """Text that came without a file: Markdown, as plain text nearly always is.

    Raises:
        InvalidRequest: it is longer than `max_chars`.
    """
    if len(text) > max_chars:
        raise InvalidRequest(
            f"text has {len(text)} characters; at most {max_chars} are taken (limits.text_max_chars)."
        )
    return RawFile(text.encode("utf-8", "replace"), INLINE_NAME, "text/markdown")


@dataclass(frozen=True, slots=True)
class IngestRequest:
    """A document to take in.

    With `document_id` exactly that document is replaced. Otherwise a document of the collection with the
    same `source` is replaced, and, without a source, one with the same bytes is left as it is.
    """

    file: RawFile
    collection: str = DEFAULT_COLLECTION
    title: str | None = None
    source: str | None = None
    metadata: Metadata | None = None
    """None keeps what a replaced document has."""
    document_id: DocumentId | None = None
    new_id: DocumentId | None = None
    """Id for a document that turns out to be new; made up when None."""
    access_groups: frozenset[str] | None = None
    principal: Principal = LOCAL_OWNER
    is_original_kept: bool = False
    lease: Lease | None = None
    """The job that this is the work of: ended in the transaction that stores the document."""
    replaced_version: int | None = None
    """The version that may be replaced, 0 for none; None for any."""
