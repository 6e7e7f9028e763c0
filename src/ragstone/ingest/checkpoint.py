"""What of a document is done already, so that a second attempt does not do it again.

Files under `home/checkpoints/<job id>/`, not rows: a parsed text of 4 kB costs 0.2 ms instead of 2.0, one of
400 kB 0.6 instead of 7.8, and no write turn (median of 15, November 2026). They survive the death of the
process; after a power cut one may be torn, which its digest tells, and then the stage is done again.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar, cast, get_args

import msgspec
from anyio import to_thread

from ragstone.cancellation import run_to_end
from ragstone.types import (
    Attachment,
    Break,
    ChunkDraft,
    JobId,
    JobStage,
    Metadata,
    PageSpan,
    ParsedDocument,
    RawFile,
    SectionSpan,
)

STAGES: tuple[JobStage, ...] = get_args(JobStage)
_DIGEST_BYTES = 16
Kept = TypeVar("Kept")
Content = TypeVar("Content")


class Checkpoint(Protocol):
    """Where a preparation leaves its results, stage by stage."""

    async def enter(self, stage: JobStage, total: int = 0) -> None:
        """A stage begins; `total` steps lie before it."""
        ...

    def advance(self, steps: int) -> None:
        """So many more steps of the stage are done."""
        ...

    async def parsed(self) -> ParsedDocument | None:
        """The parsed document, if it was kept."""
        ...

    async def keep_parsed(self, parsed: ParsedDocument) -> None:
        """Keep the parsed document."""
        ...

    async def drafts(self, cut_by: str, part: int = 0) -> Sequence[ChunkDraft] | None:
        """The chunks, if they were kept and cut in the way that `cut_by` names; attachments count from 1."""
        ...

    async def keep_drafts(self, cut_by: str, drafts: Sequence[ChunkDraft], part: int = 0) -> None:
        """Keep the chunks."""
        ...

    async def vectors(self, model: str) -> Mapping[bytes, bytes]:
        """The vectors that were kept of this model, by the hash of what was embedded."""
        ...

    async def keep_vectors(self, model: str, vectors: Mapping[bytes, bytes]) -> None:
        """Keep some more vectors."""
        ...


class NoCheckpoint:
    """Keeps nothing: for documents whose caller waits and would send them again."""

    async def enter(self, stage: JobStage, total: int = 0) -> None:
        """Nobody looks."""

    def advance(self, steps: int) -> None:
        """Nobody looks."""

    async def parsed(self) -> ParsedDocument | None:
        """Nothing was kept."""
        return None

    async def keep_parsed(self, parsed: ParsedDocument) -> None:
        """Nothing is kept."""

    async def drafts(self, cut_by: str, part: int = 0) -> Sequence[ChunkDraft] | None:  # noqa: ARG002 (of the port)
        """Nothing was kept."""
        return None

    async def keep_drafts(self, cut_by: str, drafts: Sequence[ChunkDraft], part: int = 0) -> None:
        """Nothing is kept."""

    async def vectors(self, model: str) -> Mapping[bytes, bytes]:  # noqa: ARG002 (of the port)
        """Nothing was kept."""
        return {}

    async def keep_vectors(self, model: str, vectors: Mapping[bytes, bytes]) -> None:
        """Nothing is kept."""


class _Parsed(msgspec.Struct):
    """A parsed document as it lies in its file: metadata is any JSON."""

    version: str
    text: str
    media_type: str
    title: str | None
    language: str | None
    pages: tuple[PageSpan, ...]
    sections: tuple[SectionSpan, ...]
    breaks: tuple[Break, ...]
    metadata: dict[str, object]
    warnings: tuple[str, ...]
    attachments: tuple[_ParsedAttachment, ...] = ()

    @classmethod
    def of(cls, parsed: ParsedDocument, version: str) -> _Parsed:
        """As it is kept."""
        return cls(
            version,
            parsed.text,
            parsed.media_type,
            parsed.title,
            parsed.language,
            parsed.pages,
            parsed.sections,
            parsed.breaks,
            dict(parsed.metadata),
            parsed.warnings,
            tuple(
                _ParsedAttachment(part.file.name, part.file.content, cls.of(part.document, version))
                for part in parsed.attachments
            ),
        )

    def document(self) -> ParsedDocument:
        """As it was."""
        return ParsedDocument(
            text=self.text,
            media_type=self.media_type,
            title=self.title,
            language=self.language,
            pages=self.pages,
            sections=self.sections,
            breaks=self.breaks,
            metadata=cast("Metadata", self.metadata),  # JSON went in
            warnings=self.warnings,
            attachments=tuple(
                Attachment(RawFile(part.content, part.name), part.parsed.document())
                for part in self.attachments
            ),
        )


class _ParsedAttachment(msgspec.Struct):
    name: str
    content: bytes
    parsed: _Parsed


class _Drafts(msgspec.Struct):
    version: str
    cut_by: str
    drafts: tuple[ChunkDraft, ...]


class _Vectors(msgspec.Struct):
    model: str
    vectors: dict[bytes, bytes]


class FileCheckpoint:
    """The `Checkpoint` of one job. `stage`, `done` and `total` say how far it is."""

    def __init__(self, folder: Path, version: str) -> None:
        self._folder = folder
        self._version = version
        self._slices = 0
        self.stage: JobStage = "parse"
        self.done = 0
        self.total = 0

    async def enter(self, stage: JobStage, total: int = 0) -> None:
        """Note the stage on disk, too: whoever finds this job abandoned reads where it was."""
        self.stage, self.done, self.total = stage, 0, total
        await _to_end(_write, self._folder / "stage", stage.encode())

    def advance(self, steps: int) -> None:
        """Count."""
        self.done += steps

    async def parsed(self) -> ParsedDocument | None:
        """The parsed document of this version of Ragstone."""
        kept = await to_thread.run_sync(_read, self._folder / "parsed", _Parsed)
        if kept is None or kept.version != self._version:
            return None
        return kept.document()

    async def keep_parsed(self, parsed: ParsedDocument) -> None:
        """In one file."""
        kept = await to_thread.run_sync(_Parsed.of, parsed, self._version)
        await _to_end(_write_value, self._folder / "parsed", kept)

    async def drafts(self, cut_by: str, part: int = 0) -> Sequence[ChunkDraft] | None:
        """The chunks, if this version cut them in the same way."""
        kept = await to_thread.run_sync(_read, self._folder / f"drafts-{part}", _Drafts)
        if kept is None or (kept.version, kept.cut_by) != (self._version, cut_by):
            return None
        return kept.drafts

    async def keep_drafts(self, cut_by: str, drafts: Sequence[ChunkDraft], part: int = 0) -> None:
        """In one file."""
        kept = _Drafts(self._version, cut_by, tuple(drafts))
        await _to_end(_write_value, self._folder / f"drafts-{part}", kept)

    async def vectors(self, model: str) -> Mapping[bytes, bytes]:
        """From all files of slices."""
        return await to_thread.run_sync(self._read_vectors, model)

    async def keep_vectors(self, model: str, vectors: Mapping[bytes, bytes]) -> None:
        """A file for each slice."""
        self._slices += 1
        path = self._folder / f"vectors-{self._slices}"
        await _to_end(_write_value, path, _Vectors(model, dict(vectors)))

    def _read_vectors(self, model: str) -> Mapping[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        for path in self._folder.glob("vectors-*"):
            number = path.name.partition("-")[2]
            if not number.isdecimal():
                continue  # half written
            self._slices = max(self._slices, int(number))
            kept = _read(path, _Vectors)
            if kept is not None and kept.model == model:
                found |= kept.vectors
        return found


class Checkpoints:
    """The folder with the checkpoints of every open job."""

    def __init__(self, folder: Path, version: str) -> None:
        self._folder = folder
        self._version = version

    def of(self, job_id: JobId) -> FileCheckpoint:
        """The checkpoint of one job; nothing is written yet."""
        return FileCheckpoint(self._folder / job_id, self._version)

    def stage_of(self, job_id: JobId) -> JobStage:
        """The stage that a job was in when its worker was last heard of; blocks."""
        try:
            noted = (self._folder / job_id / "stage").read_bytes()[_DIGEST_BYTES:].decode("ascii", "replace")
        except OSError:
            return "parse"
        return next((stage for stage in STAGES if stage == noted), "parse")

    def drop(self, job_id: JobId) -> None:
        """Forget a job's checkpoint; blocks."""
        shutil.rmtree(self._folder / job_id, ignore_errors=True)

    def names(self) -> set[JobId]:
        """The jobs that have one; blocks."""
        return {JobId(path.name) for path in self._folder.glob("*")}


async def _to_end(write: Callable[[Path, Content], None], path: Path, content: Content) -> None:
    """Write in a thread. It goes on when its job is stopped: the folder is dropped after it, not before."""
    await run_to_end(to_thread.run_sync(write, path, content))


def _write(path: Path, content: bytes) -> None:
    """In whole or not at all, as far as processes go."""
    fresh = path.with_name(f"{path.name}.new")
    # Another process may drop the folder meanwhile: there the job has ended, and nothing need be kept.
    with contextlib.suppress(FileExistsError, FileNotFoundError):
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_bytes(hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest() + content)
        fresh.replace(path)


def _write_value(path: Path, value: msgspec.Struct) -> None:
    _write(path, msgspec.msgpack.encode(value))


def _read(path: Path, kind: type[Kept]) -> Kept | None:
    try:
        kept = path.read_bytes()
    except OSError:
        return None
    digest, content = kept[:_DIGEST_BYTES], kept[_DIGEST_BYTES:]
    if hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest() != digest:
        return None
    try:
        return msgspec.msgpack.decode(content, type=kind)
    except msgspec.MsgspecError:
        return None
