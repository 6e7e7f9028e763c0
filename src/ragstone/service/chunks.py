"""Chunks: a preview without storing, figures of what is stored, what stands around one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragstone.deadline import Deadline
from ragstone.errors import ChunkNotFound, DocumentNotFound, InvalidRequest
from ragstone.ingest.statistics import chunk_statistics, statistics_of
from ragstone.store.chunk_figures import collection_figures, document_figures
from ragstone.store.collections import require_collection
from ragstone.store.documents import get_document
from ragstone.store.passages import find_chunk
from ragstone.store.surroundings import surroundings
from ragstone.telemetry.stages import StageTimer
from ragstone.types import (
    LOCAL_OWNER,
    ChunkingSpec,
    ChunkPreview,
    ChunkStatistics,
    DocumentId,
    Expansion,
    Passage,
    Principal,
    RawFile,
)

if TYPE_CHECKING:
    from ragstone.ingest.prepare import Preparation
    from ragstone.store.database import Database
    from ragstone.telemetry.metrics import Metrics

MOST_SHOWN = 1_000
"""Chunks that one preview lists."""


class ChunkService:
    """Everything about chunks."""

    def __init__(self, database: Database, preparation: Preparation, metrics: Metrics) -> None:
        self._database = database
        self._preparation = preparation
        self._metrics = metrics

    async def preview(
        self,
        file: RawFile,
        chunking: ChunkingSpec,
        deadline: Deadline,
        *,
        title: str | None = None,
        limit: int = MOST_SHOWN,
    ) -> ChunkPreview:
        """How a file would be cut, the first `limit` chunks and figures of all; nothing is stored.

        Raises:
            DocumentRejected: it could not be taken in.
            InvalidRequest: the limit is out of range, or the overlap leaves a chunk nothing of its own.
            DeadlineExceeded: the time is used up.
        """
        if not 0 <= limit <= MOST_SHOWN:
            raise InvalidRequest(f"limit is {limit}; it must lie between 0 and {MOST_SHOWN}.", limit=limit)
        check_chunking(chunking)
        timer = StageTimer("preview", self._metrics.observe_stage)
        cut = await self._preparation.cut(file, title, chunking, deadline, timer)
        return ChunkPreview(
            cut.parsed, cut.title, chunking, tuple(cut.drafts[:limit]), statistics_of(cut.drafts)
        )

    async def document_statistics(
        self, document_id: DocumentId, principal: Principal = LOCAL_OWNER
    ) -> ChunkStatistics:
        """Figures of a document's chunks.

        Raises:
            DocumentNotFound: no live document has this id.
        """
        async with self._database.read() as connection:
            if await get_document(connection, principal, document_id) is None:
                raise DocumentNotFound(document_id)
            found = await document_figures(connection, principal, document_id)
        return chunk_statistics(found.chunks_by_tokens, found.total_chars, found.shared_chars)

    async def collection_statistics(self, name: str, principal: Principal = LOCAL_OWNER) -> ChunkStatistics:
        """Figures of a collection's chunks.

        Raises:
            CollectionNotFound: there is no such collection.
        """
        async with self._database.read() as connection:
            collection = await require_collection(connection, principal.tenant_id, name)
            found = await collection_figures(connection, principal, collection.id)
        return chunk_statistics(found.chunks_by_tokens, found.total_chars, found.shared_chars)

    async def around(
        self, chunk_id: str, expansion: Expansion, principal: Principal = LOCAL_OWNER
    ) -> Passage:
        """The chunk with its neighbours, or the whole sections that it touches.

        Raises:
            ChunkNotFound: no live chunk has this id.
        """
        async with self._database.read() as connection:
            chunk = await find_chunk(connection, principal, chunk_id)
            if chunk is None:
                raise ChunkNotFound(chunk_id)
            document = await get_document(connection, principal, chunk.document_id)
            found = (await surroundings(connection, principal, [chunk.key], expansion)).get(chunk.key)
        if document is None or found is None:  # replaced or removed between the statements
            raise ChunkNotFound(chunk_id)
        return Passage(
            chunk.document_id,
            chunk.title,
            found.text,
            found.span,
            chunk.page,
            chunk.heading_path,
            document.char_count,
        )


def check_chunking(chunking: ChunkingSpec) -> None:
    """Go on only when chunks of this kind can be made.

    Raises:
        InvalidRequest: the overlap leaves a chunk nothing of its own.
    """
    if chunking.overlap_tokens >= chunking.max_tokens:
        raise InvalidRequest(
            f"The overlap of {chunking.overlap_tokens} tokens must be smaller than a chunk's "
            f"{chunking.max_tokens}."
        )
