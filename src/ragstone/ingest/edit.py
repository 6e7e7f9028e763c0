"""What a write may change: title, metadata and source of the same bytes, a version that is still there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from ragstone.errors import Conflict
from ragstone.store.documents import find_by_source

if TYPE_CHECKING:
    from ragstone.ingest.request import IngestRequest
    from ragstone.store.database import StoreConnection
    from ragstone.store.documents import StoredState
    from ragstone.types import Metadata


@dataclass(frozen=True, slots=True)
class Edit:
    """The title and metadata that a document gets; `source` only when it moves."""

    title: str
    metadata: Metadata
    source: str | None
    is_empty: bool


def edit_of(request: IngestRequest, old: StoredState) -> Edit:
    """What a request with the bytes of `old` changes of it; metadata is merged into what is there."""
    is_moved = request.document_id is not None and request.source not in (None, old.source)
    source = request.source if is_moved else None
    title = request.title if request.title is not None else _title(request, old, is_moved=is_moved)
    metadata = {**old.metadata, **(request.metadata or {})}
    is_same = title == old.title and metadata == dict(old.metadata) and source is None
    return Edit(title, metadata, source, is_same)


def _title(request: IngestRequest, old: StoredState, *, is_moved: bool) -> str:
    """A title that was made from the file's name goes with the name."""
    before, after = PurePath(old.source or ""), PurePath(request.file.name)
    if is_moved and old.title == before.name:
        return after.name
    return after.stem if is_moved and old.title == before.stem else old.title


async def require_free_source(connection: StoreConnection, old: StoredState, source: str) -> None:
    """Go on only when no other document of the collection has this source.

    Raises:
        Conflict: naming the document.
    """
    other = await find_by_source(connection, old.collection_id, source)
    if other is not None and other.id != old.id:
        raise Conflict(f"Document {other.id} comes from {source!r} already; remove it first.")


def require_version(request: IngestRequest, old: StoredState | None) -> None:
    """Go on only when the document is still the one that an upload was to replace.

    Raises:
        Conflict: another version took its place, or it was removed.
    """
    expected = request.replaced_version
    present = 0 if old is None else old.version
    if expected is not None and present != expected:
        raise Conflict(
            f"{request.source or request.file.name!r} is at version {present} by now (0: it was removed); "
            f"the older upload that was to replace version {expected} is dropped."
        )
