"""parse > chunk > embed: everything about a document that needs no transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np
from anyio import to_thread

from ragstone.config import IngestSettings
from ragstone.errors import DocumentRejected, EmptyDocument
from ragstone.ingest.chunk import Layout, embedding_text, lay_out
from ragstone.ingest.request import INLINE_NAME, IngestRequest
from ragstone.ingest.token_ruler import least_tokens
from ragstone.store.documents import NewChunk
from ragstone.types import ChunkDraft, ChunkingSpec, ParsedDocument, Parser, RawFile

if TYPE_CHECKING:
    from ragstone.deadline import Deadline
    from ragstone.models.ports import Embedder
    from ragstone.telemetry.stages import StageTimer

LONGEST_MADE_TITLE = 80


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document ready to be written."""

    parsed: ParsedDocument
    title: str
    chunks: Sequence[NewChunk]
    embedded_count: int
    """Chunks that had no vector yet."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A document parsed and chunked."""

    parsed: ParsedDocument
    title: str
    drafts: Sequence[ChunkDraft]


class Preparation:
    """Turns files into chunks with vectors."""

    def __init__(self, parser: Parser, embedder: Embedder, settings: IngestSettings) -> None:
        self._parser = parser
        self._embedder = embedder
        self._settings = settings

    async def prepare(
        self,
        request: IngestRequest,
        spec: ChunkingSpec,
        known: Mapping[bytes, bytes],
        deadline: Deadline,
        timer: StageTimer,
    ) -> Prepared:
        """Parse, chunk and embed one file; `known` holds vectors by the hash of what was embedded.

        Raises:
            DocumentRejected: it cannot be read, or makes more chunks than are taken.
            DeadlineExceeded: the time is used up.
        """
        cut = await self.cut(request.file, request.title, spec, deadline, timer)
        deadline.check("embedding")
        with timer.stage("embed"):
            chunks, embedded_count = await self._embed(cut.parsed, cut.title, cut.drafts, known)
        return Prepared(cut.parsed, cut.title, chunks, embedded_count)

    async def cut(
        self, file: RawFile, title: str | None, spec: ChunkingSpec, deadline: Deadline, timer: StageTimer
    ) -> Cut:
        """Parse and chunk one file. A semantic cut embeds its sentences, so it costs twice the embedding.

        Raises:
            DocumentRejected: it cannot be read, or makes more chunks than are taken.
            DeadlineExceeded: the time is used up.
        """
        with timer.stage("parse"):
            parsed = await self._parser.parse(file, deadline)
        deadline.check("chunking")
        title = title or title_of(parsed, file.name)
        with timer.stage("chunk"):
            layout = await to_thread.run_sync(self._lay_out, parsed, title, spec, file.name)
            units = await to_thread.run_sync(lambda: [span.of(parsed.text) for span in layout.units])
        vectors = None
        if units:
            deadline.check("comparing sentences")
            with timer.stage("compare"):
                vectors = await self._embedder.embed_passages(units)
        with timer.stage("chunk"):
            drafts = await to_thread.run_sync(layout.drafts, vectors)
        self._check_count(len(drafts), file.name)
        return Cut(parsed, title, drafts)

    def _lay_out(self, parsed: ParsedDocument, title: str, spec: ChunkingSpec, name: str) -> Layout:
        """The document before it is cut, when it can make no more chunks than are taken.

        Counting words takes a hundredth of the time of tokenising: a giant file fails at once.
        """
        embedder = self._embedder
        self._check_most(least_tokens(parsed.text) // spec.max_tokens, name)
        layout = lay_out(parsed, spec, embedder.tokens, title=title, window_tokens=embedder.max_tokens)
        self._check_most(layout.token_count // spec.max_tokens, name)
        return layout

    def _check_count(self, count: int, name: str) -> None:
        if count == 0:
            raise EmptyDocument(f"{name!r} holds no readable text.", name=name)
        self._check_most(count, name)

    def _check_most(self, count: int, name: str) -> None:
        limit = self._settings.max_chunks_per_document
        if count > limit:
            raise DocumentRejected(
                f"{name!r} would make at least {count} chunks; at most {limit} are taken "
                "(ingest.max_chunks_per_document). Split it, or raise the setting.",
                name=name,
            )

    async def _embed(
        self, parsed: ParsedDocument, title: str, drafts: Sequence[ChunkDraft], known: Mapping[bytes, bytes]
    ) -> tuple[list[NewChunk], int]:
        texts, hashes = await to_thread.run_sync(_texts_and_hashes, parsed.text, title, drafts)
        missing = {sha: text for sha, text in zip(hashes, texts, strict=True) if sha not in known}
        vectors = dict(known)
        if missing:
            matrix = await self._embedder.embed_passages(list(missing.values()))
            rows = np.ascontiguousarray(matrix, dtype="<f4")
            vectors |= {sha: rows[at].tobytes() for at, sha in enumerate(missing)}
        chunks = [NewChunk(draft, sha, vectors[sha]) for draft, sha in zip(drafts, hashes, strict=True)]
        return chunks, len(missing)


def default_chunking(settings: IngestSettings) -> ChunkingSpec:
    """How collections cut that were made without saying how."""
    return ChunkingSpec(settings.chunk_max_tokens, settings.chunk_overlap_tokens, settings.chunk_strategy)


def _texts_and_hashes(text: str, title: str, drafts: Sequence[ChunkDraft]) -> tuple[list[str], list[bytes]]:
    """What is embedded for each chunk, and its hash; a second of work for the longest documents."""
    texts = [embedding_text(title, draft.heading_path, draft.span.of(text)) for draft in drafts]
    return texts, [hashlib.sha256(embedded.encode()).digest() for embedded in texts]


def title_of(parsed: ParsedDocument, name: str) -> str:
    """The document's own title; for inline text without one, how it begins."""
    if name != INLINE_NAME:
        return parsed.title or PurePath(name).name or name
    if parsed.title and parsed.title != INLINE_NAME:
        return parsed.title
    first_line = next((line.strip() for line in parsed.text.splitlines() if line.strip()), name)
    return first_line if len(first_line) <= LONGEST_MADE_TITLE else f"{first_line[: LONGEST_MADE_TITLE - 1]}…"
