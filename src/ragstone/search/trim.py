"""From ranked candidates and their text to hits (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ragstone.store.passages import HydratedChunk
from ragstone.types import ChunkKey, Hit, ScoreBreakdown

Ranked = Sequence[tuple[ChunkKey, ScoreBreakdown]]
"""Candidates, best first, with their scores."""


def trim(ranked: Ranked, chunks: Mapping[ChunkKey, HydratedChunk], top_k: int) -> tuple[Hit, ...]:
    """The best `top_k` of those whose text was read; the others are gone or not for the caller."""
    live = [(key, scores) for key, scores in ranked if key in chunks]
    return tuple(_hit(chunks[key], scores) for key, scores in live[:top_k])


def _hit(chunk: HydratedChunk, scores: ScoreBreakdown) -> Hit:
    return Hit(
        chunk_key=chunk.key,
        chunk_id=chunk.id,
        document_id=chunk.document_id,
        collection=chunk.collection,
        title=chunk.title,
        source=chunk.source,
        text=chunk.text,
        score=scores.fused,
        span=chunk.span,
        page=chunk.page,
        section=chunk.heading_path,
        metadata=chunk.metadata,
        scores=scores,
    )
