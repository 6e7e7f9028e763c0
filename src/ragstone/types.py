"""The words of the product as types: ids, documents, chunks, searches, results.

Everything here is immutable and free of frameworks. Text offsets are code points, half-open, into the
stored (normalised) text of one document version: `stored_text[span.start:span.end] == quote`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NewType, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from ragstone.deadline import Deadline

TenantId = NewType("TenantId", str)
CollectionId = NewType("CollectionId", str)
DocumentId = NewType("DocumentId", str)
JobId = NewType("JobId", str)
AnswerId = NewType("AnswerId", str)
DocumentKey = NewType("DocumentKey", int)
"""Internal 63-bit key of a document; never reused."""
ChunkKey = NewType("ChunkKey", int)
"""Internal 63-bit key of a chunk; never reused, so an index entry left behind finds nothing."""

JsonScalar = str | int | float | bool | None
JsonValue: TypeAlias = "JsonScalar | Sequence[JsonValue] | Mapping[str, JsonValue]"
Metadata = Mapping[str, JsonValue]

Vector = npt.NDArray[np.float32]
"""(dim,) float32, unit length."""
Matrix = npt.NDArray[np.float32]
"""(n, dim) float32, unit rows."""

DEFAULT_TENANT = TenantId("default")
DEFAULT_COLLECTION = "default"

SearchMode = Literal["hybrid", "lexical", "dense"]
Fusion = Literal["score", "rrf"]
"""By shares of each leg's best score, or by reciprocal ranks."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a tenant and the access groups it may read besides ungrouped documents.

    `access_groups=None` means every group (the local owner).
    """

    tenant_id: TenantId = DEFAULT_TENANT
    access_groups: frozenset[str] | None = None


LOCAL_OWNER = Principal()


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
    metadata: Metadata = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class Parser(Protocol):
    """Turns a file into text and structure."""

    async def parse(self, file: RawFile, deadline: Deadline) -> ParsedDocument:
        """Parse one file.

        Raises:
            DocumentRejected: the file is of an unknown type, empty, encrypted, broken, or over a wall.
            DeadlineExceeded: the request's time is used up.
        """
        ...


@dataclass(frozen=True, slots=True)
class ChunkingSpec:
    """How a collection cuts its documents, in tokens of the embedding model."""

    max_tokens: int = 220
    overlap_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ChunkDraft:
    """A chunk before it is stored: a span of the text, its heading path and page."""

    span: Span
    heading_path: tuple[str, ...] = ()
    page: int | None = None


class TokenCounter(Protocol):
    """Counts as the embedding model's tokenizer does, special tokens not included."""

    def count(self, text: str) -> int:
        """How many tokens `text` is."""
        ...


FilterOp = Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "exists"]


@dataclass(frozen=True, slots=True)
class Compare:
    """One comparison of a metadata value: `key` is a name, dots descend into objects."""

    op: FilterOp
    key: str
    value: JsonValue = None


@dataclass(frozen=True, slots=True)
class Combine:
    """`and` or `or` over at least one filter; `not` over exactly one."""

    op: Literal["and", "or", "not"]
    filters: tuple[Filter, ...]


Filter: TypeAlias = "Compare | Combine"


@dataclass(frozen=True, slots=True)
class Weights:
    """Weight of each leg in the fusion; 0 leaves a leg out of the ranking."""

    lexical: float = 1.0
    dense: float = 1.0


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A question to the index, with everything that may change its result."""

    query: str
    collections: tuple[str, ...] = (DEFAULT_COLLECTION,)
    mode: SearchMode = "hybrid"
    top_k: int = 10
    filters: Filter | None = None
    weights: Weights | None = None
    """None takes the settings' weights, leaning on the lexical leg where the model lacks the language."""
    fusion: Fusion | None = None
    """None takes the setting."""
    principal: Principal = LOCAL_OWNER


@dataclass(frozen=True, slots=True)
class LegScore:
    """Rank (from 1), raw score and share of a chunk in one leg; see `Candidate`."""

    rank: int
    score: float
    share: float


@dataclass(frozen=True, slots=True)
class ScoreBreakdown:
    """Why a hit stands where it stands; a leg that did not find the chunk is None."""

    lexical: LegScore | None
    dense: LegScore | None
    fused: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A chunk key with its score, before its text is read."""

    key: ChunkKey
    score: float
    """BM25 (unbounded) or cosine (-1..1)."""
    share: float
    """The score on a scale of its own, 0..1, on which legs and collections compare: BM25 as the share of the
    most that the question could reach, cosine as it is."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that answers a search, its text read from the truth.

    Higher `score` is better; scores are comparable only within one result.
    """

    chunk_key: ChunkKey
    chunk_id: str
    document_id: DocumentId
    collection: str
    title: str
    source: str | None
    text: str
    score: float
    span: Span
    page: int | None
    section: tuple[str, ...]
    metadata: Metadata
    scores: ScoreBreakdown


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits, best first; `timings_ms` holds milliseconds per stage.

    `degraded` names what failed, timed out or was skipped (`"dense:failed"`); `corpus_version` is the
    version that the indexes had applied when they were asked.
    """

    hits: tuple[Hit, ...]
    corpus_version: int
    degraded: tuple[str, ...]
    timings_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Collection:
    """A named set of documents with one language, one way of chunking and one embedding model."""

    id: CollectionId
    tenant_id: TenantId
    name: str
    language: str
    chunking: ChunkingSpec
    model_id: str
    model_revision: str
    dim: int
    version: int
    document_count: int = 0
    chunk_count: int = 0


@dataclass(frozen=True, slots=True)
class Document:
    """A live document without its text."""

    id: DocumentId
    key: DocumentKey
    collection: str
    version: int
    title: str
    source: str | None
    media_type: str
    size_bytes: int
    char_count: int
    chunk_count: int
    metadata: Metadata
    warnings: tuple[str, ...]
    created_at: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did; it was searchable when this came back.

    `status`: added, replaced, updated (metadata or title only), unchanged.
    """

    status: Literal["added", "replaced", "updated", "unchanged"]
    document_id: DocumentId
    version: int
    chunk_count: int
    collection: str
    corpus_version: int
    warnings: tuple[str, ...] = ()
    embedded_count: int = 0
    """Chunks that the model had to embed; the others had their vector already."""


@dataclass(frozen=True, slots=True)
class RemovedDocument:
    """One document that is gone."""

    id: DocumentId
    title: str
    source: str | None
    version: int
    chunk_count: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a removal took away; its text was unreachable in every process when this came back."""

    collection: str
    documents: tuple[RemovedDocument, ...]
    originals: tuple[str, ...]
    """sha256 of the kept originals whose files were deleted; others still use the rest."""
    corpus_version: int

    @property
    def chunk_count(self) -> int:
        """Chunks removed, with their vectors."""
        return sum(document.chunk_count for document in self.documents)


@dataclass(frozen=True, slots=True)
class Passage:
    """Characters of a stored document with their place in it."""

    document_id: DocumentId
    title: str
    text: str
    span: Span
    page: int | None
    section: tuple[str, ...]
    char_count: int
    """Length of the whole document, in code points."""


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a claim comes from: `stored_text[span.start:span.end] == quote`."""

    marker: int
    document_id: DocumentId
    chunk_id: str
    title: str
    source: str | None
    quote: str
    span: Span
    page: int | None
    section: tuple[str, ...]


AnswerMode = Literal["extractive", "generated"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one generation, as the generator reports them."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with its evidence; `text` refers to citations as [1], [2], ..."""

    answer_id: AnswerId
    text: str
    mode: AnswerMode
    citations: tuple[Citation, ...]
    hits: tuple[Hit, ...]
    usage: Usage | None
    corpus_version: int
    degraded: tuple[str, ...]
    timings_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """A question to answer from the collections."""

    search: SearchRequest
    """`search.query` is the question."""
    temperature: float | None = None
    """None takes the setting."""


JobState = Literal["queued", "running", "ready", "failed", "cancelled"]
JobStage = Literal["parse", "chunk", "embed", "write"]
JobPriority = Literal["interactive", "bulk"]
