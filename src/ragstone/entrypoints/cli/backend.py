"""Where a command's work is done: in the running server of the home, or in this process."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from ragstone.entrypoints.cli.remote import RemoteBackend, find_server
from ragstone.telemetry.spans import OFF

if TYPE_CHECKING:
    from ragstone.config import Loaded
    from ragstone.entrypoints.cli.analytics_backend import AnalyticsCalls
    from ragstone.entrypoints.cli.chunks import PreviewFile
    from ragstone.entrypoints.cli.query_backend import QueryCalls
    from ragstone.entrypoints.wire import Wire
    from ragstone.telemetry.spans import Tracing
    from ragstone.types import JobState, JsonValue, RawFile


@dataclass(frozen=True, slots=True)
class AddFile:
    """A file to add."""

    file: RawFile
    source: str
    collection: str
    title: str | None = None
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)
    is_bulk: bool = False
    """One of many: others' single files go first."""


@dataclass(frozen=True, slots=True)
class DocumentChoice:
    """Which documents to list, and in which order."""

    collection: str | None
    filters: JsonValue
    sort: str


@dataclass(frozen=True, slots=True)
class Question:
    """A search or a question, as flags gave it."""

    text: str
    collections: tuple[str, ...] | None
    mode: str
    top_k: int | None
    filters: JsonValue
    weights: Mapping[str, float] | None
    fusion: str | None
    explain: bool
    expand: JsonValue = None
    use_cache: bool = True


@dataclass(frozen=True, slots=True)
class ChunkingOptions:
    """How to cut, as flags gave it; None is as the settings say."""

    strategy: str | None = None
    max_tokens: int | None = None
    overlap_tokens: int | None = None

    def wire(self) -> dict[str, str]:
        """The fields of a request that were given."""
        given = {
            "chunk_strategy": self.strategy,
            "chunk_max_tokens": self.max_tokens,
            "chunk_overlap_tokens": self.overlap_tokens,
        }
        return {name: str(value) for name, value in given.items() if value is not None}


class Backend(Protocol):
    """What commands need; every answer looks as on the wire of HTTP."""

    queries: QueryCalls
    """Tracked questions, and warming with them."""
    analytics: AnalyticsCalls
    """What the log tells."""
    place: str
    """Who does the work, for messages: `this process` or the server's address."""

    async def add(self, added: AddFile) -> Wire:
        """Take one file in."""
        ...

    async def fetch(self, url: str, collection: str, metadata: Mapping[str, JsonValue]) -> Wire:
        """Take one page in."""
        ...

    async def sources(self) -> Wire:
        """Every source of the catalogue."""
        ...

    async def get_source(self, name: str) -> Wire:
        """One source with its newest runs."""
        ...

    async def sync_source(self, name: str, *, is_forced: bool) -> Wire:
        """Sync a source to its end."""
        ...

    async def search(self, question: Question) -> Wire:
        """Search."""
        ...

    def ask(self, question: Question) -> AsyncGenerator[Wire, None]:
        """The events of an answer."""
        ...

    async def list_documents(self, wanted: DocumentChoice, cursor: str | None, limit: int) -> Wire:
        """A page of documents."""
        ...

    async def get_document(self, document_id: str) -> Wire:
        """One document."""
        ...

    async def read_document(self, document_id: str, start: int, end: int) -> Wire:
        """Characters of a document."""
        ...

    async def remove_document(self, document_id: str) -> Wire:
        """Remove a document."""
        ...

    async def remove_matching(self, collection: str, filters: JsonValue) -> Wire:
        """Remove the documents that a filter matches."""
        ...

    async def collections(self) -> Wire:
        """Every collection."""
        ...

    async def count_documents(self, name: str, key: str, limit: int) -> Wire:
        """A collection's documents by the values of a key."""
        ...

    async def create_collection(self, name: str, language: str, chunking: ChunkingOptions) -> Wire:
        """Make a collection."""
        ...

    async def preview_chunks(self, asked: PreviewFile) -> Wire:
        """How a file would be cut."""
        ...

    async def collection_statistics(self, name: str) -> Wire:
        """Figures of a collection's chunks."""
        ...

    async def document_statistics(self, document_id: str) -> Wire:
        """Figures of a document's chunks."""
        ...

    async def read_chunk(self, chunk_id: str, neighbours: int, is_section: bool) -> Wire:
        """A chunk with what stands around it."""
        ...

    async def remove_collection(self, name: str) -> Wire:
        """Remove a collection."""
        ...

    async def list_jobs(
        self, state: JobState | None, collection: str | None, cursor: str | None, limit: int
    ) -> Wire:
        """A page of jobs."""
        ...

    async def get_job(self, job_id: str) -> Wire:
        """One job."""
        ...

    async def retry_job(self, job_id: str) -> Wire:
        """Try a failed job again."""
        ...

    async def cancel_job(self, job_id: str) -> Wire:
        """Cancel a job."""
        ...

    async def cache_statistics(self) -> Wire:
        """Figures of the caches."""
        ...

    async def clear_cache(self, name: str | None, pattern: str, collection: str | None) -> Wire:
        """Forget entries."""
        ...


@asynccontextmanager
async def open_backend(loaded: Loaded, tracing: Tracing = OFF) -> AsyncIterator[Backend]:
    """The running server of the home when there is one, otherwise an engine of our own."""
    url = await find_server(loaded.home)
    if url is not None:
        async with RemoteBackend.connect(url) as remote:
            yield remote
        return
    from ragstone.entrypoints.cli.local import LocalBackend
    from ragstone.runtime.engine import open_engine

    async with open_engine(_unwatched(loaded), tracing=tracing) as engine:
        yield LocalBackend(engine)


def _unwatched(loaded: Loaded) -> Loaded:
    """Whoever runs a command sees how long it takes; a server's operator has a log for that."""
    settings = loaded.settings
    telemetry = settings.telemetry.model_copy(update={"slow_request_ms": 0.0})
    return replace(loaded, settings=settings.model_copy(update={"telemetry": telemetry}))


@asynccontextmanager
async def open_analytics(loaded: Loaded) -> AsyncIterator[AnalyticsCalls]:
    """The log of the running server of the home when there is one, otherwise the log by itself."""
    url = await find_server(loaded.home)
    if url is not None:
        async with RemoteBackend.connect(url) as remote:
            yield remote.analytics
        return
    from ragstone.entrypoints.cli.local_analytics import LocalAnalytics
    from ragstone.runtime.log import open_log

    async with open_log(loaded) as log:
        yield LocalAnalytics(log.analytics, log.transfer)
