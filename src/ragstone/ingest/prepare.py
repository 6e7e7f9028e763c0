"""parse > chunk > embed: everything about a document that needs no transaction."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np
from anyio import to_thread

from ragstone.errors import DocumentRejected, EmptyDocument
from ragstone.ingest.checkpoint import Checkpoint, NoCheckpoint
from ragstone.ingest.chunk import Layout, embedding_text, lay_out
from ragstone.ingest.former import Former, former_ends
from ragstone.ingest.request import INLINE_NAME, IngestRequest
from ragstone.ingest.token_ruler import least_tokens
from ragstone.settings import IngestSettings
from ragstone.store.chunks import NewChunk
from ragstone.types import ChunkDraft, ChunkingSpec, JobStage, ParsedDocument, Parser, RawFile

if TYPE_CHECKING:
    from ragstone.deadline import Deadline
    from ragstone.models.ports import Embedder
    from ragstone.telemetry.stages import StageTimer

LONGEST_MADE_TITLE = 80
EMBEDDED_AT_ONCE = 256
"""Chunks between two checkpoints: about two seconds of embedding on two cores (November 2026)."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document ready to be written."""

    parsed: ParsedDocument
    title: str
    chunks: Sequence[NewChunk]
    embedded_count: int
    """Chunks that had no vector yet, those of attachments included."""
    attachments: Sequence[PreparedAttachment] = ()


@dataclass(frozen=True, slots=True)
class PreparedAttachment:
    """An attachment ready to be written with its document."""

    file: RawFile
    prepared: Prepared


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt at a document: who times its stages, and where their results are kept."""

    timer: StageTimer
    checkpoint: Checkpoint

    @asynccontextmanager
    async def stage(self, name: JobStage, total: int = 0) -> AsyncIterator[None]:
        """Time the block as a stage, and note that it began."""
        await self.checkpoint.enter(name, total)
        with self.timer.stage(name):
            yield


@dataclass(frozen=True, slots=True)
class Cut:
    """A document parsed and chunked."""

    parsed: ParsedDocument
    title: str
    drafts: Sequence[ChunkDraft] = ()
    former: Former | None = None
    """The version before, whose cuts are kept where its text is."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What is there of the document already; nothing of a new one."""

    vectors: Mapping[bytes, bytes] = field(default_factory=dict)
    """By the hash of what was embedded."""
    former: Former | None = None


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
        earlier: Earlier,
        deadline: Deadline,
        run: Run,
    ) -> Prepared:
        """Parse, chunk and embed one file; what stands unchanged in the version before stays as it is.

        What the run's checkpoint has kept is not done again.

        Raises:
            DocumentRejected: it cannot be read, or makes more chunks than are taken.
            DeadlineExceeded: the time is used up.
        """
        parsed = await self._parse(request.file, deadline, run)
        title = request.title or title_of(parsed, request.file.name)
        whole = Cut(parsed, title, former=earlier.former)
        whole = replace(whole, drafts=await self._drafts(whole, spec, request.file.name, deadline, run))
        whole, inner = await self._cut_attachments(whole, spec, deadline, run)
        deadline.check("embedding")
        (chunks, *others), embedded_count = await self._embed(
            [whole, *(cut for _, cut in inner)], earlier.vectors, run
        )
        attachments = [
            PreparedAttachment(file, Prepared(cut.parsed, cut.title, own, 0))
            for (file, cut), own in zip(inner, others, strict=True)
        ]
        return Prepared(whole.parsed, title, chunks, embedded_count, attachments)

    async def cut(
        self, file: RawFile, title: str | None, spec: ChunkingSpec, deadline: Deadline, timer: StageTimer
    ) -> Cut:
        """Parse and chunk one file. A semantic cut embeds its sentences, so it costs twice the embedding.

        Raises:
            DocumentRejected: it cannot be read, or makes more chunks than are taken.
            DeadlineExceeded: the time is used up.
        """
        run = Run(timer, NoCheckpoint())
        parsed = await self._parse(file, deadline, run)
        uncut = Cut(parsed, title or title_of(parsed, file.name))
        return replace(uncut, drafts=await self._drafts(uncut, spec, file.name, deadline, run))

    async def _parse(self, file: RawFile, deadline: Deadline, run: Run) -> ParsedDocument:
        parsed = await run.checkpoint.parsed()
        if parsed is None:
            async with run.stage("parse"):
                parsed = await self._parser.parse(file, deadline)
                await run.checkpoint.keep_parsed(parsed)
        deadline.check("chunking")
        return parsed

    async def _cut_attachments(
        self, whole: Cut, spec: ChunkingSpec, deadline: Deadline, run: Run
    ) -> tuple[Cut, Sequence[tuple[RawFile, Cut]]]:
        """Chunk what was attached; one that cannot be is a warning of the document."""
        cuts: list[tuple[RawFile, Cut]] = []
        warnings: list[str] = []
        for number, part in enumerate(whole.parsed.attachments, start=1):
            uncut = Cut(part.document, title_of(part.document, PurePath(part.file.name).name))
            try:
                drafts = await self._drafts(uncut, spec, part.file.name, deadline, run, number)
            except DocumentRejected as rejected:
                warnings.append(f"Attachment not read: {rejected.message}")
                continue
            cuts.append((part.file, replace(uncut, drafts=drafts)))
        parsed = replace(whole.parsed, warnings=(*whole.parsed.warnings, *warnings))
        return replace(whole, parsed=parsed), cuts

    async def _drafts(
        self, uncut: Cut, spec: ChunkingSpec, name: str, deadline: Deadline, run: Run, part: int = 0
    ) -> Sequence[ChunkDraft]:
        cut_by = f"{spec.strategy} {spec.max_tokens} {spec.overlap_tokens} {self._model} {uncut.title}"
        kept = await run.checkpoint.drafts(cut_by, part)
        if kept is not None:
            return kept
        async with run.stage("chunk"):
            layout = await to_thread.run_sync(self._lay_out, uncut, spec, name)
            units = await to_thread.run_sync(lambda: [span.of(uncut.parsed.text) for span in layout.units])
            drafts = [] if units else await to_thread.run_sync(layout.drafts, None)
        if units:
            deadline.check("comparing sentences")
            with run.timer.stage("compare"):
                vectors = await self._embedder.embed_passages(units)
            with run.timer.stage("chunk"):
                drafts = await to_thread.run_sync(layout.drafts, vectors)
        self._check_count(len(drafts), name)
        await run.checkpoint.keep_drafts(cut_by, drafts, part)
        return drafts

    @property
    def _model(self) -> str:
        return f"{self._embedder.model_id}@{self._embedder.revision}"

    def _lay_out(self, uncut: Cut, spec: ChunkingSpec, name: str) -> Layout:
        """The document before it is cut, when it can make no more chunks than are taken.

        Counting words takes a hundredth of the time of tokenising: a giant file fails at once.
        """
        parsed, title = uncut.parsed, uncut.title
        embedder = self._embedder
        self._check_most(least_tokens(parsed.text) // spec.max_tokens, name)
        ends = () if uncut.former is None else former_ends(uncut.former, parsed.text)
        window = embedder.max_tokens
        layout = lay_out(parsed, spec, embedder.tokens, title=title, window_tokens=window, former_ends=ends)
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
        self, cuts: Sequence[Cut], known: Mapping[bytes, bytes], run: Run
    ) -> tuple[list[list[NewChunk]], int]:
        """The chunks of each with their vectors, and how many had none yet."""
        hashed = [await to_thread.run_sync(_texts_and_hashes, cut) for cut in cuts]
        wanted = {
            sha: text
            for texts, hashes in hashed
            for sha, text in zip(hashes, texts, strict=True)
            if sha not in known
        }
        vectors = {**known, **await run.checkpoint.vectors(self._model)}
        missing = {sha: text for sha, text in wanted.items() if sha not in vectors}
        if missing:
            async with run.stage("embed", len(wanted)):
                run.checkpoint.advance(len(wanted) - len(missing))
                async for part in self._embedded(missing):
                    vectors |= part
                    await run.checkpoint.keep_vectors(self._model, part)
                    run.checkpoint.advance(len(part))
        chunks = [
            [NewChunk(draft, sha, vectors[sha]) for draft, sha in zip(cut.drafts, hashes, strict=True)]
            for cut, (_, hashes) in zip(cuts, hashed, strict=True)
        ]
        return chunks, len(wanted)

    async def _embedded(self, missing: Mapping[bytes, str]) -> AsyncIterator[Mapping[bytes, bytes]]:
        """Vectors in parts, texts of like length together: a batch costs as much as its longest text."""
        order = sorted(missing.items(), key=lambda item: len(item[1]))
        for start in range(0, len(order), EMBEDDED_AT_ONCE):
            part = order[start : start + EMBEDDED_AT_ONCE]
            rows = await self._embedder.embed_passages([text for _, text in part])
            rows = np.ascontiguousarray(rows, dtype="<f4")
            yield {sha: rows[at].tobytes() for at, (sha, _) in enumerate(part)}


def default_chunking(settings: IngestSettings) -> ChunkingSpec:
    """How collections cut that were made without saying how."""
    return ChunkingSpec(settings.chunk_max_tokens, settings.chunk_overlap_tokens, settings.chunk_strategy)


def _texts_and_hashes(cut: Cut) -> tuple[list[str], list[bytes]]:
    """What is embedded for each chunk, and its hash; a second of work for the longest documents."""
    text = cut.parsed.text
    texts = [embedding_text(cut.title, draft.heading_path, draft.span.of(text)) for draft in cut.drafts]
    return texts, [hashlib.sha256(embedded.encode()).digest() for embedded in texts]


def title_of(parsed: ParsedDocument, name: str) -> str:
    """The document's own title; for inline text without one, how it begins."""
    if name != INLINE_NAME:
        return parsed.title or PurePath(name).name or name
    if parsed.title and parsed.title != INLINE_NAME:
        return parsed.title
    first_line = next((line.strip() for line in parsed.text.splitlines() if line.strip()), name)
    return first_line if len(first_line) <= LONGEST_MADE_TITLE else f"{first_line[: LONGEST_MADE_TITLE - 1]}…"
