"""An engine of its own with a test collection in it: through the product, or one chunk a document."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio
import numpy as np
from anyio import to_thread
from uuid6 import uuid7

from ragstone.config import Loaded
from ragstone.deadline import Deadline
from ragstone.errors import DocumentRejected
from ragstone.ingest.chunk import embedding_text
from ragstone.ingest.request import IngestRequest
from ragstone.ingest.write import Writer
from ragstone.runtime.engine import open_engine
from ragstone.settings import Settings
from ragstone.store.chunks import NewChunk, vectors_by_hash
from ragstone.store.documents import NewDocument, find_by_id, put_document
from ragstone.types import DEFAULT_TENANT, LOCAL_OWNER, ChunkDraft, DocumentId, Matrix, RawFile, Span, Vector

if TYPE_CHECKING:
    from rich.progress import Progress

    from ragstone.evaluate.datasets import Entry
    from ragstone.runtime.engine import Engine
    from ragstone.types import Collection, Written

T = TypeVar("T")

INGESTS_IN_FLIGHT = 16
SEARCHES_IN_FLIGHT = 4
ROWS_PER_CHANGE = 500
CHUNKS_PER_VOLUME = 50
EMBEDDED_AT_ONCE = 64
CACHED_QUERIES = 50_000
BYTES_PER_EMBEDDING = 2048
"""Every mode asks the same questions: their embeddings are computed once."""


@dataclass(slots=True)
class Filled:
    """What came of a corpus: writes by document id, and the ids that hold no text."""

    written: dict[str, Written] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    @property
    def chunk_count(self) -> int:
        """Chunks of all documents together."""
        return sum(written.chunk_count for written in self.written.values())


@asynccontextmanager
async def open_temporary_engine(settings: Settings) -> AsyncIterator[Engine]:
    """An engine on an empty home that is removed at the end; answers are extractive."""
    # Vectors are kept, so that modes and settings are compared without embedding anew; nothing else is.
    remembered = {
        "query_embedding_max_bytes": CACHED_QUERIES * BYTES_PER_EMBEDDING,
        "retrieval_max_bytes": 0,
        "answer_max_bytes": 0,
        "generation_max_bytes": 0,
        "rendered_max_bytes": 0,
        "tracked_queries": 0,
    }
    changed = {
        "cache": settings.cache.model_copy(update=remembered),
        "generator": settings.generator.model_copy(update={"base_url": None}),
    }
    folder = await to_thread.run_sync(partial(tempfile.TemporaryDirectory, prefix="ragstone-evaluate-"))
    try:
        loaded = Loaded(settings.model_copy(update=changed), Path(folder.name), {})
        async with open_engine(loaded) as engine:
            yield engine
    finally:
        await to_thread.run_sync(folder.cleanup)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A progress display on stderr, silent where that is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        yield progress


async def each(items: Sequence[T], work: Callable[[T], Awaitable[None]], in_flight: int, title: str) -> None:
    """Do `work` for every item, so many at once, under a progress bar; the first error ends it."""
    rest = iter(items)
    with progress_bar() as progress:
        task = progress.add_task(title, total=len(items))

        async def worker() -> None:
            for item in rest:
                await work(item)
                progress.advance(task)

        async with anyio.create_task_group() as group:
            for _ in range(in_flight):
                group.start_soon(worker)


async def ingest(engine: Engine, collection: str, entries: Sequence[Entry]) -> Filled:
    """Take every document in as a client would; those without text are skipped and counted."""
    filled = Filled()

    async def add(entry: Entry) -> None:
        request = IngestRequest(
            # Without a file name, so that a document without a title stays without one.
            file=RawFile(entry.text.encode("utf-8", "replace"), "", "text/plain"),
            collection=collection,
            title=entry.title,
            source=entry.id,
        )
        try:
            filled.written[entry.id] = await engine.documents.add(request, Deadline.never())
        except DocumentRejected:
            filled.skipped.append(entry.id)

    await each(entries, add, INGESTS_IN_FLIGHT, "Adding")
    return filled


async def store_whole(
    engine: Engine, collection: Collection, entries: Sequence[Entry], filled: Filled
) -> None:
    """Store each document of `filled` again in `collection`, as one chunk whose vector sees its beginning.

    The model cuts what is beyond its window; vectors of documents that were one chunk already are reused.
    """
    wanted = [entry for entry in entries if entry.id in filled.written]
    with progress_bar() as progress:
        task = progress.add_task("Control", total=len(wanted))
        for batch in batches(wanted, EMBEDDED_AT_ONCE):
            vectors = await _whole_vectors(engine, batch, filled)
            await store_rows(engine, collection, batch, vectors)
            progress.advance(task, len(batch))


async def store_rows(
    engine: Engine, collection: Collection, entries: Sequence[Entry], vectors: Matrix
) -> None:
    """Store documents of one chunk with given vectors, `ROWS_PER_CHANGE` a transaction."""
    pairs = zip(entries, vectors, strict=True)
    await _store(engine, collection, [_document(entry.title, [(entry, vector)]) for entry, vector in pairs])


async def store_volumes(
    engine: Engine, collection: Collection, entries: Sequence[Entry], vectors: Matrix
) -> None:
    """Store texts with given vectors as chunks of long documents: fast enough for 100,000 of them."""
    volumes = batches(zip(entries, vectors, strict=True), CHUNKS_PER_VOLUME)
    documents = [_document(volume[0][0].title, volume) for volume in volumes]
    await _store(engine, collection, documents)


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """`items` in order, `size` at a time."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


async def _whole_vectors(engine: Engine, entries: Sequence[Entry], filled: Filled) -> Matrix:
    texts = {entry.id: embedding_text(entry.title, (), entry.text) for entry in entries}
    known = await _known_vectors(engine, texts, filled)
    missing = [id_ for id_ in texts if id_ not in known]
    if missing:
        matrix = await engine.embedder.embed_passages([texts[id_] for id_ in missing])
        known |= dict(zip(missing, matrix, strict=True))
    return np.stack([known[entry.id] for entry in entries])


async def _known_vectors(engine: Engine, texts: Mapping[str, str], filled: Filled) -> dict[str, Vector]:
    """Vectors of the documents of which the product embedded exactly this text."""
    known = {}
    async with engine.database.read() as connection:
        for id_, text in texts.items():
            written = filled.written[id_]
            if written.chunk_count != 1:
                continue
            state = await find_by_id(connection, LOCAL_OWNER, written.document_id)
            if state is None:
                continue
            vector = (await vectors_by_hash(connection, state.key)).get(_sha256(text).digest())
            if vector is not None:
                known[id_] = np.frombuffer(vector, "<f4").astype(np.float32)
    return known


async def _store(engine: Engine, collection: Collection, documents: Sequence[NewDocument]) -> None:
    writer = Writer(engine.database, engine.follower)
    for batch in batches(documents, ROWS_PER_CHANGE):
        async with writer.change() as change:
            keys = [(await put_document(change.connection, collection.id, new, None))[0] for new in batch]
            change.touch(collection.id, keys)


def _document(title: str, parts: Sequence[tuple[Entry, Vector]]) -> NewDocument:
    """A document whose chunks are the entries, in order."""
    text = "\n\n".join(entry.text for entry, _ in parts)
    return NewDocument(
        id=DocumentId(str(uuid7())),
        tenant_id=DEFAULT_TENANT,
        title=title,
        source=parts[0][0].id,
        media_type="text/plain",
        language=None,
        content_sha256=_sha256(text).hexdigest(),
        blob_sha256=None,
        size_bytes=len(text.encode("utf-8", "replace")),
        text=text,
        pages=(),
        sections=(),
        chunks=tuple(_chunks(title, parts)),
        metadata={},
        access_groups=None,
        warnings=(),
    )


def _chunks(title: str, parts: Sequence[tuple[Entry, Vector]]) -> Iterator[NewChunk]:
    start = 0
    for entry, vector in parts:
        span = Span(start, start + len(entry.text))
        embedded = _sha256(embedding_text(title, (), entry.text)).digest()
        yield NewChunk(ChunkDraft(span), embedded, np.ascontiguousarray(vector, dtype="<f4").tobytes())
        start = span.end + len("\n\n")


def _sha256(text: str) -> hashlib._Hash:
    return hashlib.sha256(text.encode("utf-8", "replace"))
