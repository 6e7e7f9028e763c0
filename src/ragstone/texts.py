"""Texts and the places in them: spans, parsed documents, chunks; `ragstone.types` hands all of it on.

Text offsets are code points, half-open, into the stored (normalised) text of one document version:
`stored_text[span.start:span.end] == quote`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from ragstone.deadline import Deadline

JsonScalar = str | int | float | bool | None
JsonValue: TypeAlias = "JsonScalar | Sequence[JsonValue] | Mapping[str, JsonValue]"
Metadata = Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Code points `[start, end)` of a stored text."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """Code points covered."""
        return self.end - self.start

    def of(self, text: str) -> str:
        """The characters that the span covers."""
        return text[self.start : self.end]


@dataclass(frozen=True, slots=True)
class PageSpan:
    """Where a page (from 1), slide or sheet lies in the text."""

    page: int
    span: Span


@dataclass(frozen=True, slots=True)
class SectionSpan:
    """Where a heading path is in force: from its heading to the next one of its level or above.

    `path` runs from the outermost heading inwards. Spans are disjoint and ordered; a text before the
    first heading has no span.
    """

    path: tuple[str, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class RawFile:
    """Bytes as they came, with the name they came under."""

    content: bytes
    name: str
    media_type: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class Break:
    """A place where source code may be cut: before a statement or a member.

    `depth` counts the blocks around it, 0 at the top of the file: the lower, the better a place to cut.
    """

    offset: int
    depth: int


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """What a parser got out of a file: normalised text and where its pages and sections lie."""

    text: str
    media_type: str
    title: str | None = None
    language: str | None = None
    """Programming language of source code; None for prose."""
    pages: tuple[PageSpan, ...] = ()
    sections: tuple[SectionSpan, ...] = ()
    breaks: tuple[Break, ...] = ()
    """Of source code, in order; empty for prose."""
    metadata: Metadata = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    enclosed: tuple[RawFile, ...] = ()
    """Files that came inside, not looked at yet; a whole parser turns them into `attachments`."""
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came inside another, and what was read of it. Its name is its way: `inner.eml/plan.pdf`."""

    file: RawFile
    document: ParsedDocument


class Parser(Protocol):
    """Turns a file into text and structure."""

    async def parse(self, file: RawFile, deadline: Deadline) -> ParsedDocument:
        """Parse one file.

        Raises:
            DocumentRejected: the file is of an unknown type, empty, encrypted, broken, or over a wall.
            DeadlineExceeded: the request's time is used up.
        """
        ...


ChunkingStrategy = Literal["structure", "semantic", "code", "table"]
"""What decides where a text is cut: what its type says (headings and paragraphs, whole table rows, the syntax
of source code); besides, where neighbouring sentences differ in meaning; the indentation of lines, as in
source code; the ends of lines, as in a table."""


@dataclass(frozen=True, slots=True)
class ChunkingSpec:
    """How a collection cuts its documents, in tokens of the embedding model."""

    max_tokens: int = 220
    overlap_tokens: int = 0
    strategy: ChunkingStrategy = "structure"


@dataclass(frozen=True, slots=True)
class ChunkDraft:
    """A chunk before it is stored: a span of the text, its heading path and page.

    The path of a chunk that begins inside a table ends in the table's header.
    """

    span: Span
    heading_path: tuple[str, ...] = ()
    page: int | None = None
    token_count: int = 0
    """Of the span alone, in tokens of the embedding model."""


@dataclass(frozen=True, slots=True)
class ChunkStatistics:
    """Figures of a document's or a collection's chunks; tokens do not include heading lines.

    `overlap_share` is the share of the chunks' characters that stand in the chunk before, too. Chunks stored
    before tokens were kept count as `unmeasured` and are left out of the token figures.
    """

    chunk_count: int
    tokens_p50: int
    tokens_p95: int
    tokens_max: int
    overlap_share: float
    unmeasured: int = 0


@dataclass(frozen=True, slots=True)
class ChunkPreview:
    """How a file would be cut; nothing is stored. `drafts` holds the first ones, `statistics` all."""

    document: ParsedDocument
    title: str
    chunking: ChunkingSpec
    drafts: tuple[ChunkDraft, ...]
    statistics: ChunkStatistics


class TokenCounter(Protocol):
    """Counts as the embedding model's tokenizer does, special tokens not included."""

    def count(self, text: str) -> int:
        """How many tokens `text` is."""
        ...


@dataclass(frozen=True, slots=True)
class Expansion:
    """What is read around a chunk: so many chunks before and after it, or the sections that it touches."""

    neighbours: int = 0
    is_section: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The stretch of stored text around a chunk, the chunk included."""

    span: Span
    text: str
