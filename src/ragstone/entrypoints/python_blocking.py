"""The Python door for code without asyncio: the same methods, blocking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ParamSpec, Self, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from ragstone.entrypoints.python import AsyncRagstone
from ragstone.entrypoints.python_blocking_analytics import BlockingAnalytics
from ragstone.entrypoints.python_blocking_cache import BlockingCache
from ragstone.store.job_rows import Job
from ragstone.types import (
    DEFAULT_COLLECTION,
    Answer,
    ChunkPreview,
    Collection,
    Document,
    JobState,
    JsonValue,
    Passage,
    Receipt,
    SearchResult,
    Written,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ragstone.analytics.similar import SimilarQuery
    from ragstone.operate.warm import WarmingRun
    from ragstone.service.caches import CachesReport
    from ragstone.service.queries import QueryStatistics
    from ragstone.service.sources import SourceStatus
    from ragstone.service.traces import AnswerTrace
    from ragstone.store.query_reads import TrackedQuery
    from ragstone.store.sources import SourceRun
    from ragstone.telemetry.percentiles import Percentiles


P = ParamSpec("P")
T = TypeVar("T")


class Ragstone:
    """The same for code without asyncio: `with Ragstone(home) as rag`. Calls block; threads may share it."""

    def __init__(
        self,
        home: Path | str | None = None,
        *,
        settings: Mapping[str, str | int | float | bool | None] | None = None,
    ) -> None:
        """Args: as for `AsyncRagstone`."""
        self._inner = AsyncRagstone(home, settings=settings)
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal("asyncio"))
            stack.enter_context(self._portal.wrap_async_context_manager(self._inner))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._portal = None
        self._stack.__exit__(kind, error, trace)

    @property
    def analytics(self) -> BlockingAnalytics:
        """See `AsyncRagstone.analytics`."""
        return BlockingAnalytics(self._inner.analytics, self._call)

    @property
    def cache(self) -> BlockingCache:
        """See `AsyncRagstone.cache`."""
        return BlockingCache(self._inner.cache, self._call)

    def add_text(
        self,
        text: str,
        *,
        title: str | None = None,
        collection: str = DEFAULT_COLLECTION,
        source: str | None = None,
        metadata: Mapping[str, JsonValue] | None = None,
    ) -> Written:
        """See `AsyncRagstone.add_text`."""
        added = partial(
            self._inner.add_text, title=title, collection=collection, source=source, metadata=metadata
        )
        return self._call(added, text)

    def add(
        self,
        path: Path | str,
        *,
        collection: str = DEFAULT_COLLECTION,
        metadata: Mapping[str, JsonValue] | None = None,
    ) -> list[Written]:
        """See `AsyncRagstone.add`."""
        return self._call(partial(self._inner.add, collection=collection, metadata=metadata), path)

    def search(  # noqa: PLR0913 (as above)
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
        """See `AsyncRagstone.search`."""
        searched = partial(
            self._inner.search,
            collections=collections,
            mode=mode,
            top_k=top_k,
            filters=filters,
            weights=weights,
            fusion=fusion,
            expand=expand,
        )
        return self._call(searched, query)

    def ask(
        self, question: str, *, collections: Sequence[str] | None = None, top_k: int | None = None
    ) -> Answer:
        """See `AsyncRagstone.ask`."""
        return self._call(partial(self._inner.ask, collections=collections, top_k=top_k), question)

    @property
    def statistics(self) -> Percentiles:
        """See `AsyncRagstone.statistics`; its methods do not wait."""
        return self._inner.statistics

    def trace(self, answer_id: str) -> AnswerTrace:
        """See `AsyncRagstone.trace`."""
        return self._call(self._inner.trace, answer_id)

    def create_collection(
        self,
        name: str,
        *,
        language: str = "en",
        chunking: str | None = None,
        chunk_tokens: int | None = None,
        chunk_overlap: int | None = None,
    ) -> Collection:
        """See `AsyncRagstone.create_collection`."""
        made = partial(
            self._inner.create_collection,
            language=language,
            chunking=chunking,
            chunk_tokens=chunk_tokens,
            chunk_overlap=chunk_overlap,
        )
        return self._call(made, name)

    def preview(
        self,
        path: Path | str,
        *,
        chunking: str | None = None,
        chunk_tokens: int | None = None,
        chunk_overlap: int | None = None,
    ) -> ChunkPreview:
        """See `AsyncRagstone.preview`."""
        previewed = partial(
            self._inner.preview,
            chunking=chunking,
            chunk_tokens=chunk_tokens,
            chunk_overlap=chunk_overlap,
        )
        return self._call(previewed, path)

    def add_url(
        self,
        url: str,
        *,
        collection: str = DEFAULT_COLLECTION,
        metadata: Mapping[str, JsonValue] | None = None,
    ) -> Written:
        """See `AsyncRagstone.add_url`."""
        return self._call(partial(self._inner.add_url, collection=collection, metadata=metadata), url)

    def sources(self) -> list[SourceStatus]:
        """See `AsyncRagstone.sources`."""
        return self._call(self._inner.sources)

    def sync(self, name: str, *, is_forced: bool = False) -> SourceRun:
        """See `AsyncRagstone.sync`."""
        return self._call(partial(self._inner.sync, is_forced=is_forced), name)

    def documents(self, collection: str | None = None) -> list[Document]:
        """See `AsyncRagstone.documents`."""
        return self._call(self._inner.documents, collection)

    def read(self, document_id: str, start: int = 0, end: int | None = None) -> Passage:
        """See `AsyncRagstone.read`."""
        return self._call(self._inner.read, document_id, start, end)

    def remove(self, document_id: str) -> Receipt:
        """See `AsyncRagstone.remove`."""
        return self._call(self._inner.remove, document_id)

    def jobs(self, state: JobState | None = None, *, limit: int = 50) -> tuple[Job, ...]:
        """See `AsyncRagstone.jobs`."""
        return self._call(partial(self._inner.jobs, limit=limit), state)

    def job(self, job_id: str) -> Job:
        """See `AsyncRagstone.job`."""
        return self._call(self._inner.job, job_id)

    def retry_job(self, job_id: str) -> Job:
        """See `AsyncRagstone.retry_job`."""
        return self._call(self._inner.retry_job, job_id)

    def cancel_job(self, job_id: str) -> Job:
        """See `AsyncRagstone.cancel_job`."""
        return self._call(self._inner.cancel_job, job_id)

    def cache_statistics(self) -> CachesReport:
        """See `AsyncRagstone.cache_statistics`."""
        return self._call(self._inner.cache_statistics)

    def clear_cache(self, name: str | None = None, *, collection: str | None = None) -> int:
        """See `AsyncRagstone.clear_cache`."""
        return self._call(self._inner.clear_cache, name, collection=collection)

    def popular_queries(
        self, limit: int = 10, *, days: int | None = None, collection: str | None = None
    ) -> list[TrackedQuery]:
        """See `AsyncRagstone.popular_queries`."""
        return self._call(partial(self._inner.popular_queries, days=days, collection=collection), limit)

    def complete_query(self, prefix: str, limit: int = 10) -> list[TrackedQuery]:
        """See `AsyncRagstone.complete_query`."""
        return self._call(self._inner.complete_query, prefix, limit)

    def similar_queries(self, question: str, limit: int = 10) -> list[SimilarQuery]:
        """See `AsyncRagstone.similar_queries`."""
        return self._call(self._inner.similar_queries, question, limit)

    def query_statistics(self, days: int | None = None) -> QueryStatistics:
        """See `AsyncRagstone.query_statistics`."""
        return self._call(self._inner.query_statistics, days)

    def erase_queries(self, question: str | None = None) -> int:
        """See `AsyncRagstone.erase_queries`."""
        return self._call(self._inner.erase_queries, question)

    def warm_caches(self, top: int | None = None) -> WarmingRun:
        """See `AsyncRagstone.warm_caches`."""
        return self._call(self._inner.warm_caches, top)

    def _call(self, work: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._portal is None:
            raise RuntimeError("Ragstone is not open; use it inside `with`.")
        return self._portal.call(partial(work, *args, **kwargs))
