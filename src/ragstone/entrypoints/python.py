"""The Python door: the same engine as a library, for asyncio."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ParamSpec, Self, TypeVar

import anyio

from ragstone.config import load
from ragstone.deadline import Deadline
from ragstone.entrypoints.python_analytics import AsyncAnalytics
from ragstone.entrypoints.python_door import door, stream_through_door
from ragstone.entrypoints.python_watching import Watching
from ragstone.entrypoints.requests import read_chunking, read_metadata, read_top, search_request, text_of
from ragstone.ingest.load import FoundFile, read, walk
from ragstone.ingest.request import IngestRequest, inline_file
from ragstone.runtime.engine import Engine, open_engine
from ragstone.service.pages import DocumentQuery
from ragstone.service.queries import PopularRequest
from ragstone.store.job_rows import Job
from ragstone.telemetry.logs import quiet_logs
from ragstone.telemetry.tracing import program_tracing
from ragstone.types import (
    DEFAULT_COLLECTION,
    Answer,
    AnswerRequest,
    ChunkPreview,
    Collection,
    Document,
    DocumentId,
    JobId,
    JobState,
    JsonValue,
    Passage,
    Receipt,
    SearchResult,
    Span,
    Written,
)

if TYPE_CHECKING:
    from ragstone.analytics.similar import SimilarQuery
    from ragstone.answer.events import AnswerEvent
    from ragstone.operate.warm import WarmingRun
    from ragstone.service.caches import CachesReport
    from ragstone.service.queries import QueryStatistics
    from ragstone.service.sources import SourceStatus
    from ragstone.store.query_reads import TrackedQuery
    from ragstone.store.sources import SourceRun

P = ParamSpec("P")
T = TypeVar("T")


class AsyncRagstone(Watching):
    """Ragstone in this process, for asyncio. Use as `async with AsyncRagstone(home) as rag`.

    Any number of processes may open one home at once.
    """

    def __init__(
        self,
        home: Path | str | None = None,
        *,
        settings: Mapping[str, str | int | float | bool | None] | None = None,
    ) -> None:
        """Args: `home` as for `--home`; `settings` by dotted name, such as {"search.top_k": 5}."""
        self._loaded = load(None if home is None else Path(home), flags=settings)
        self._stack = AsyncExitStack()
        self._engine: Engine | None = None

    async def __aenter__(self) -> Self:
        quiet_logs()
        opened = open_engine(self._loaded, tracing=program_tracing())
        self._engine = await self._stack.enter_async_context(opened)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._engine = None
        await self._stack.__aexit__(kind, error, trace)

    @property
    def engine(self) -> Engine:
        """The engine with all its services.

        Raises:
            RuntimeError: outside of `async with`.
        """
        if self._engine is None:
            raise RuntimeError("Ragstone is not open; use it inside `with` or `async with`.")
        return self._engine

    @property
    def analytics(self) -> AsyncAnalytics:
        """What the log tells."""
        return AsyncAnalytics(self.engine)

    async def add_text(
        self,
        text: str,
        *,
        title: str | None = None,
        collection: str = DEFAULT_COLLECTION,
        source: str | None = None,
        metadata: Mapping[str, JsonValue] | None = None,
    ) -> Written:
        """Add a text (Markdown headings become sections); searchable when this returns.

        Raises:
            DocumentRejected: the text is empty.
        """
        request = IngestRequest(
            file=inline_file(text_of("text", text), self.engine.settings.limits.text_max_chars),
            collection=collection,
            title=title,
            source=source,
            metadata=None if metadata is None else read_metadata(metadata, self.engine.settings),
        )
        return await self.engine.documents.add(request, Deadline.never())

    async def add(
        self,
        path: Path | str,
        *,
        collection: str = DEFAULT_COLLECTION,
        metadata: Mapping[str, JsonValue] | None = None,
    ) -> list[Written]:
        """Add a file, or every readable file of a folder; the first one that is rejected ends it.

        Raises:
            PathNotFound: there is nothing at `path`.
            DocumentRejected: a file cannot be taken in; those before it are.
        """
        found = await anyio.to_thread.run_sync(lambda: list(walk([path])))
        checked = None if metadata is None else read_metadata(metadata, self.engine.settings)
        return [await self._add_file(file, collection, checked) for file in found]

    async def search(  # noqa: PLR0913 (keywords, one for each field of a request)
        self,
        query: str,
        *,
        collections: Sequence[str] | None = None,
        mode: str = "hybrid",
        top_k: int | None = None,
        filters: Mapping[str, JsonValue] | None = None,
        weights: Mapping[str, float] | None = None,
        fusion: str | None = None,
        expand: JsonValue = None,
    ) -> SearchResult:
        """Search; hits come best first. `expand` is "section" or {"neighbours": n}.

        Raises:
            InvalidRequest: a value is unknown or out of range.
            CollectionNotFound: a named collection does not exist.
        """
        request = search_request(
            self.engine.settings,
            query,
            collections=collections,
            mode=mode,
            top_k=top_k,
            filters=filters,
            weights=weights,
            fusion=fusion,
            expand=expand,
        )
        with door(self.engine, "ragstone search"):
            return await self.engine.search.search(request)

    async def ask(
        self, question: str, *, collections: Sequence[str] | None = None, top_k: int | None = None
    ) -> Answer:
        """Answer a question with exact citations.

        Raises:
            InvalidRequest: the question is empty or too long.
            CollectionNotFound: a named collection does not exist.
        """
        request = search_request(self.engine.settings, question, collections=collections, top_k=top_k)
        with door(self.engine, "ragstone ask"):
            return await self.engine.answers.ask(AnswerRequest(request))

    def stream(
        self, question: str, *, collections: Sequence[str] | None = None, top_k: int | None = None
    ) -> AsyncGenerator[AnswerEvent, None]:
        """The events of an answer; close the generator to stop the work."""
        request = search_request(self.engine.settings, question, collections=collections, top_k=top_k)
        return stream_through_door(self.engine, AnswerRequest(request))

    async def create_collection(
        self,
        name: str,
        *,
        language: str = "en",
        chunking: str | None = None,
        chunk_tokens: int | None = None,
        chunk_overlap: int | None = None,
    ) -> Collection:
        """Make a collection with a language or a chunking of its own; see docs/chunking.md for the kinds.

        Raises:
            InvalidRequest: a value is unknown or out of range.
            Conflict: the name belongs to a collection with other settings.
        """
        spec = read_chunking(self.engine.settings, chunking, chunk_tokens, chunk_overlap)
        return await self.engine.collections.create(name, language, spec)

    async def preview(
        self,
        path: Path | str,
        *,
        chunking: str | None = None,
        chunk_tokens: int | None = None,
        chunk_overlap: int | None = None,
    ) -> ChunkPreview:
        """How a file would be cut; nothing is stored.

        Raises:
            PathNotFound: there is no file at `path`.
            DocumentRejected: it could not be taken in.
        """
        found = FoundFile(Path(path), Path(path).name)
        file = await anyio.to_thread.run_sync(read, found, self.engine.settings.ingest.max_file_bytes)
        spec = read_chunking(self.engine.settings, chunking, chunk_tokens, chunk_overlap)
        return await self.engine.chunks.preview(file, spec, Deadline.never())

    async def add_url(
        self,
        url: str,
        *,
        collection: str = DEFAULT_COLLECTION,
        metadata: Mapping[str, JsonValue] | None = None,
    ) -> Written:
        """Fetch a page and add it, or replace it.

        Raises:
            FetchRefused: the address is not public and no setting allows it.
            FetchFailed: it does not answer with a page.
        """
        given = None if metadata is None else read_metadata(metadata, self.engine.settings)
        return await self.engine.sources.fetch(url, collection=collection, metadata=given)

    async def sources(self) -> list[SourceStatus]:
        """The sources of the catalogue, each with its newest sync.

        Raises:
            InvalidSetting: the catalogue cannot be read.
        """
        return await self.engine.sources.list()

    async def sync(self, name: str, *, is_forced: bool = False) -> SourceRun:
        """Bring the documents of a source up to date; what could not be done is in the result.

        Raises:
            SourceNotFound: the catalogue does not name it.
            SourceBusy: it is being synced already.
        """
        return await self.engine.sources.sync(name, is_forced=is_forced)

    async def documents(self, collection: str | None = None) -> list[Document]:
        """Every document, oldest first.

        Raises:
            CollectionNotFound: there is no such collection.
        """
        found: list[Document] = []
        cursor: str | None = None
        while True:
            page = await self.engine.documents.list(DocumentQuery(collection), cursor=cursor, limit=200)
            found += page.documents
            cursor = page.next_cursor
            if cursor is None:
                return found

    async def read(self, document_id: str, start: int = 0, end: int | None = None) -> Passage:
        """Characters of a document's stored text.

        Raises:
            DocumentNotFound: no live document has this id.
        """
        span = None if end is None and start == 0 else Span(start, start + 100_000 if end is None else end)
        return await self.engine.documents.read(DocumentId(document_id), span)

    async def remove(self, document_id: str) -> Receipt:
        """Remove a document; when this returns its text is unreachable.

        Raises:
            DocumentNotFound: no live document has this id.
        """
        return await self.engine.documents.remove(DocumentId(document_id))

    async def jobs(self, state: JobState | None = None, *, limit: int = 50) -> tuple[Job, ...]:
        """The newest jobs: background work of servers and workers on this home.

        Raises:
            InvalidRequest: the limit is out of range.
        """
        return (await self.engine.jobs.list(state=state, limit=limit)).jobs

    async def job(self, job_id: str) -> Job:
        """One job.

        Raises:
            JobNotFound: there is no such job.
        """
        return await self.engine.jobs.get(JobId(job_id))

    async def retry_job(self, job_id: str) -> Job:
        """Queue a failed job again; a server or a worker takes it up.

        Raises:
            JobNotFound: there is no such job.
            Conflict: it is not failed, or its file is not kept.
        """
        return await self.engine.jobs.retry(JobId(job_id))

    async def cancel_job(self, job_id: str) -> Job:
        """Cancel a job that waits or runs.

        Raises:
            JobNotFound: there is no such job.
            Conflict: it has come to its end.
        """
        return await self.engine.jobs.cancel(JobId(job_id))

    async def cache_statistics(self) -> CachesReport:
        """Hits, misses, bytes and what was saved, per cache, since this engine was opened."""
        return await self.engine.caches.statistics()

    async def clear_cache(self, name: str | None = None, *, collection: str | None = None) -> int:
        """Forget what one cache (or every one) holds of one collection (or all); how many entries went.

        Raises:
            InvalidRequest: there is no such cache.
            CollectionNotFound: there is no such collection.
        """
        return await self.engine.caches.clear(name, collection=collection)

    async def popular_queries(
        self, limit: int = 10, *, days: int | None = None, collection: str | None = None
    ) -> list[TrackedQuery]:
        """The most asked questions, most asked first, of all time or of the last days.

        Raises:
            InvalidRequest: limit or days out of range.
        """
        return await self.engine.queries.popular(PopularRequest(limit, days, collection=collection))

    async def complete_query(self, prefix: str, limit: int = 10) -> list[TrackedQuery]:
        """The most asked questions that begin with `prefix`.

        Raises:
            InvalidRequest: the limit is out of range.
        """
        return await self.engine.queries.complete(prefix, limit)

    async def similar_queries(self, question: str, limit: int = 10) -> list[SimilarQuery]:
        """Questions that were asked and are like this one, the most similar first.

        Raises:
            InvalidRequest: the question is empty, or the limit out of range.
        """
        return await self.engine.queries.similar(question, limit)

    async def query_statistics(self, days: int | None = None) -> QueryStatistics:
        """What was asked, by day.

        Raises:
            InvalidRequest: more days than are kept.
        """
        return await self.engine.queries.statistics(days)

    async def erase_queries(self, question: str | None = None) -> int:
        """Forget one question, or all; how many there were.

        Raises:
            InvalidRequest: the question is empty.
        """
        return (await self.engine.queries.erase(question)).count

    async def warm_caches(self, top: int | None = None) -> WarmingRun:
        """Ask the most popular questions again, so that their results lie in this process's caches."""
        return await self.engine.warmer.run(None if top is None else read_top(top))

    async def _add_file(
        self, found: FoundFile, collection: str, metadata: Mapping[str, JsonValue] | None
    ) -> Written:
        limit = self.engine.settings.ingest.max_file_bytes
        file = await anyio.to_thread.run_sync(read, found, limit)
        request = IngestRequest(
            file, collection, source=found.source, metadata=metadata, is_original_kept=True
        )
        return await self.engine.documents.add(request, Deadline.never())
