"""The way of a source's documents into the store: the same as everyone's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragstone.deadline import Deadline
from ragstone.errors import DocumentNotFound

if TYPE_CHECKING:
    from ragstone.ingest.request import IngestRequest
    from ragstone.service.documents import DocumentService
    from ragstone.types import DocumentId, Written


class DirectIntake:
    """The `Intake` that does the work at once, in this process."""

    def __init__(self, documents: DocumentService) -> None:
        self._documents = documents

    async def submit(self, request: IngestRequest) -> Written:
        """Take a document in; see `Intake`."""
        return await self._documents.add(request, Deadline.never())

    async def remove(self, document_id: DocumentId) -> None:
        """Remove a document; see `Intake`."""
        try:
            await self._documents.remove(document_id)
        except DocumentNotFound:
            return
