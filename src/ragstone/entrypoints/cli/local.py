"""The commands' work done in this process, by an engine of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ragstone.deadline import Deadline
from ragstone.entrypoints import wire, wire_work
from ragstone.entrypoints.cli.local_analytics import LocalAnalytics
from ragstone.entrypoints.cli.local_queries import LocalQueries
from ragstone.entrypoints.requests import read_chunking, read_filter, search_request
from ragstone.service.pages import DocumentQuery
from ragstone.types import AnswerRequest, DocumentId, JobId, JobState, JsonValue, RawFile

if TYPE_CHECKING:
    from ragstone.entrypoints.cli.analytics_backend import AnalyticsCalls
    from ragstone.entrypoints.cli.backend import AddFile, ChunkingOptions, DocumentChoice, Question
    from ragstone.entrypoints.cli.chunks import PreviewFile
    from ragstone.entrypoints.cli.query_backend import QueryCalls
    from ragstone.entrypoints.wire import Wire
    from ragstone.runtime.engine import Engine
    from ragstone.types import ChunkingSpec


class LocalBackend:
    """The engine in this process."""

    place = "this process"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.queries: QueryCalls = LocalQueries(engine)
        self.analytics: AnalyticsCalls = LocalAnalytics(engine.analytics, engine.transfer)

    async def add(self, added: AddFile) -> Wire:
        """Take one file in."""
        from ragstone.ingest.request import IngestRequest

        request = IngestRequest(
            file=added.file,
            collection=added.collection,
            title=added.title,
            source=added.source,
            metadata=added.metadata or None,
            is_original_kept=True,
        )
        return wire.written(await self._engine.documents.add(request, Deadline.never()))

    async def fetch(self, url: str, collection: str, metadata: Mapping[str, JsonValue]) -> Wire:
        """Take one page in."""
        found = await self._engine.sources.fetch(url, collection=collection, metadata=metadata)
        return wire.written(found)

    async def sources(self) -> Wire:
        """Every source of the catalogue."""
        return {"sources": [wire_work.source(found) for found in await self._engine.sources.list()]}

    async def get_source(self, name: str) -> Wire:
        """One source with its newest runs."""
        return wire_work.source(await self._engine.sources.get(name))

    async def sync_source(self, name: str, *, is_forced: bool) -> Wire:
        """Sync a source to its end."""
        return wire_work.source_run(await self._engine.sources.sync(name, is_forced=is_forced))

    async def search(self, question: Question) -> Wire:
        """Search."""
        result = await self._engine.search.search(self._request(question).search)
        return wire.search_result(result, explain=question.explain)

    async def ask(self, question: Question) -> AsyncGenerator[Wire, None]:
        """The events of an answer."""
        async with contextlib.aclosing(self._engine.answers.stream(self._request(question))) as events:
            async for event in events:
                yield wire.event(event, explain=question.explain, request_id="")

    async def list_documents(self, wanted: DocumentChoice, cursor: str | None, limit: int) -> Wire:
        """A page of documents."""
        filter_ = None if wanted.filters is None else read_filter(wanted.filters)
        query = DocumentQuery(wanted.collection, filter_, wanted.sort)
        return wire.document_page(await self._engine.documents.list(query, cursor=cursor, limit=limit))

    async def get_document(self, document_id: str) -> Wire:
        """One document."""
        return wire.document(await self._engine.documents.get(DocumentId(document_id)))

    async def read_document(self, document_id: str, start: int, end: int) -> Wire:
        """Characters of a document."""
        from ragstone.types import Span

        return wire.passage(await self._engine.documents.read(DocumentId(document_id), Span(start, end)))

    async def remove_document(self, document_id: str) -> Wire:
        """Remove a document."""
        return wire.removed_document(await self._engine.documents.remove(DocumentId(document_id)))

    async def remove_matching(self, collection: str, filters: JsonValue) -> Wire:
        """Remove the documents that a filter matches."""
        return wire.removed_documents(
            await self._engine.documents.remove_matching(collection, read_filter(filters))
        )

    async def count_documents(self, name: str, key: str, limit: int) -> Wire:
        """A collection's documents by the values of a key."""
        return wire.collection_counts(await self._engine.collections.counts(name, key, limit))

    async def collections(self) -> Wire:
        """Every collection."""
        return {"collections": [wire.collection(found) for found in await self._engine.collections.list()]}

    async def create_collection(self, name: str, language: str, chunking: ChunkingOptions) -> Wire:
        """Make a collection."""
        spec = self._chunking(chunking)
        return wire.collection(await self._engine.collections.create(name, language, spec))

    async def preview_chunks(self, asked: PreviewFile) -> Wire:
        """How a file would be cut."""
        file, spec = RawFile(asked.content, asked.name), self._chunking(asked.chunking)
        return wire.chunk_preview(
            await self._engine.chunks.preview(file, spec, Deadline.never(), limit=asked.limit)
        )

    async def collection_statistics(self, name: str) -> Wire:
        """Figures of a collection's chunks."""
        return wire.chunk_statistics(await self._engine.chunks.collection_statistics(name))

    async def document_statistics(self, document_id: str) -> Wire:
        """Figures of a document's chunks."""
        found = await self._engine.chunks.document_statistics(DocumentId(document_id))
        return wire.chunk_statistics(found)

    async def read_chunk(self, chunk_id: str, neighbours: int, is_section: bool) -> Wire:
        """A chunk with what stands around it."""
        from ragstone.types import Expansion

        return wire.passage(await self._engine.chunks.around(chunk_id, Expansion(neighbours, is_section)))

    async def remove_collection(self, name: str) -> Wire:
        """Remove a collection."""
        return wire.removed_collection(await self._engine.collections.remove(name))

    async def list_jobs(
        self, state: JobState | None, collection: str | None, cursor: str | None, limit: int
    ) -> Wire:
        """A page of jobs."""
        page = await self._engine.jobs.list(state=state, collection=collection, cursor=cursor, limit=limit)
        return wire_work.job_page(page)

    async def get_job(self, job_id: str) -> Wire:
        """One job."""
        return wire_work.explained_job(await self._engine.jobs.get(JobId(job_id)))

    async def retry_job(self, job_id: str) -> Wire:
        """Try a failed job again."""
        return wire_work.explained_job(await self._engine.jobs.retry(JobId(job_id)))

    async def cancel_job(self, job_id: str) -> Wire:
        """Cancel a job."""
        return wire_work.explained_job(await self._engine.jobs.cancel(JobId(job_id)))

    async def cache_statistics(self) -> Wire:
        """Figures of the caches."""
        return wire_work.caches(await self._engine.caches.statistics())

    async def clear_cache(self, name: str | None, pattern: str, collection: str | None) -> Wire:
        """Forget entries."""
        return {"cleared": await self._engine.caches.clear(name, pattern=pattern, collection=collection)}

    def _chunking(self, chunking: ChunkingOptions) -> ChunkingSpec:
        return read_chunking(
            self._engine.settings, chunking.strategy, chunking.max_tokens, chunking.overlap_tokens
        )

    def _request(self, question: Question) -> AnswerRequest:
        asked = search_request(
            self._engine.settings,
            question.text,
            collections=question.collections,
            mode=question.mode,
            top_k=question.top_k,
            filters=question.filters,
            weights=question.weights,
            fusion=question.fusion,
            expand=question.expand,
        )
        return AnswerRequest(replace(asked, use_cache=question.use_cache))
