"""The words of the product as types: ids, documents, chunks, searches, results.

Everything here is immutable and free of frameworks. Text offsets are code points, half-open, into the
stored (normalised) text of one document version: `stored_text[span.start:span.end] == quote`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NewType, TypeAlias

import numpy as np
import numpy.typing as npt

from ragstone.texts import (
    Attachment as Attachment,
    Break as Break,
    ChunkDraft as ChunkDraft,
    ChunkingSpec as ChunkingSpec,
    ChunkingStrategy as ChunkingStrategy,
    ChunkPreview as ChunkPreview,
    ChunkStatistics as ChunkStatistics,
    Expansion as Expansion,
    JsonScalar as JsonScalar,
    JsonValue as JsonValue,
    Metadata as Metadata,
    PageSpan as PageSpan,
    ParsedDocument as ParsedDocument,
    Parser as Parser,
    RawFile as RawFile,
    SectionSpan as SectionSpan,
    Span as Span,
    Surroundings as Surroundings,
    TokenCounter as TokenCounter,
)

TenantId = NewType("TenantId", str)
CollectionId = NewType("CollectionId", str)
DocumentId = NewType("DocumentId", str)
JobId = NewType("JobId", str)
AnswerId = NewType("AnswerId", str)
DocumentKey = NewType("DocumentKey", int)
"""Internal 63-bit key of a document; never reused."""
ChunkKey = NewType("ChunkKey", int)
"""Internal 63-bit key of a chunk; never reused, so an index entry left behind finds nothing."""

Vector = npt.NDArray[np.float32]
"""(dim,) float32, unit length."""
Matrix = npt.NDArray[np.float32]
"""(n, dim) float32, unit rows."""

DEFAULT_TENANT = TenantId("default")
DEFAULT_COLLECTION = "default"

SearchMode = Literal["hybrid", "lexical", "dense"]
Fusion = Literal["score", "rrf"]
"""By shares of each leg's best score, or by reciprocal ranks."""
CacheUse = Literal["off", "miss", "hit", "evidence", "semantic", "shared"]
"""Where a result came from: made anew (`off`, `miss`), the same request at the same corpus version (`hit`), a
generation for the same evidence (`evidence`), one for another wording of the question and the same evidence
(`semantic`), or an equal request that was under way (`shared`)."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a tenant and the access groups it may read besides ungrouped documents.

    `access_groups=None` means every group (the local owner).
    """

    tenant_id: TenantId = DEFAULT_TENANT
    access_groups: frozenset[str] | None = None


LOCAL_OWNER = Principal()


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
    expand: Expansion | None = None
    """Read what stands around each hit, too; it changes no hit, order or score."""
    use_cache: bool = True
    """False makes the result anew and keeps nothing of it."""


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
    surroundings: Surroundings | None = None
    """Only when asked for; None, too, when the document was replaced or removed a moment ago."""


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
    cache: CacheUse = "off"


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
    language: str | None
    """Programming language of source code; None for prose."""
    size_bytes: int
    char_count: int
    chunk_count: int
    metadata: Metadata
    warnings: tuple[str, ...]
    created_at: str
    updated_at: str
    parent_id: DocumentId | None = None
    """The document that it came with, as an attachment: it is replaced and removed with that one."""


@dataclass(frozen=True, slots=True)
class WrittenAttachment:
    """A document that was made of an attachment; `name` is its way from the message: `inner.eml/plan.pdf`."""

    document_id: DocumentId
    name: str
    title: str
    chunk_count: int


WriteStatus = Literal["added", "replaced", "updated", "unchanged"]


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did; it was searchable when this came back.

    `status`: added, replaced, updated (metadata or title only), unchanged.
    """

    status: WriteStatus
    document_id: DocumentId
    version: int
    chunk_count: int
    collection: str
    corpus_version: int
    warnings: tuple[str, ...] = ()
    embedded_count: int = 0
    """Chunks that the model had to embed; the others had their vector already."""
    attachments: tuple[WrittenAttachment, ...] = ()


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
    cache: CacheUse = "off"
    model: str | None = None
    """The generator that wrote the text; None when it is quoted."""


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
