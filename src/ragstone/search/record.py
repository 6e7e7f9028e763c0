"""Search results as bytes and back (pure): what the cache of retrieval keeps."""

from __future__ import annotations

from typing import cast

import msgspec

from ragstone.cache.cache import Kind
from ragstone.types import (
    ChunkKey,
    DocumentId,
    Hit,
    Metadata,
    ScoreBreakdown,
    SearchResult,
    Span,
    Surroundings,
)


class HitRecord(msgspec.Struct, array_like=True):
    """A hit as it is kept: its metadata is any JSON."""

    chunk_key: int
    chunk_id: str
    document_id: str
    collection: str
    title: str
    source: str | None
    text: str
    score: float
    span: Span
    page: int | None
    section: tuple[str, ...]
    metadata: dict[str, object]
    scores: ScoreBreakdown
    surroundings: Surroundings | None

    @classmethod
    def of(cls, hit: Hit) -> HitRecord:
        """As it is kept."""
        return cls(
            hit.chunk_key,
            hit.chunk_id,
            hit.document_id,
            hit.collection,
            hit.title,
            hit.source,
            hit.text,
            hit.score,
            hit.span,
            hit.page,
            hit.section,
            dict(hit.metadata),
            hit.scores,
            hit.surroundings,
        )

    def hit(self) -> Hit:
        """As it was."""
        return Hit(
            ChunkKey(self.chunk_key),
            self.chunk_id,
            DocumentId(self.document_id),
            self.collection,
            self.title,
            self.source,
            self.text,
            self.score,
            self.span,
            self.page,
            self.section,
            cast("Metadata", self.metadata),  # JSON went in
            self.scores,
            self.surroundings,
        )


class _ResultRecord(msgspec.Struct, array_like=True):
    hits: tuple[HitRecord, ...]
    corpus_version: int


_DECODER = msgspec.msgpack.Decoder(_ResultRecord)


def _encode(result: SearchResult) -> bytes:
    record = _ResultRecord(tuple(HitRecord.of(hit) for hit in result.hits), result.corpus_version)
    return msgspec.msgpack.encode(record)


def _decode(payload: bytes) -> SearchResult:
    record = _DECODER.decode(payload)
    return SearchResult(tuple(found.hit() for found in record.hits), record.corpus_version, (), {})


RETRIEVAL = Kind("retrieval", _encode, _decode)
"""Results without their timings: those are the request's own. A degraded one is never kept."""
