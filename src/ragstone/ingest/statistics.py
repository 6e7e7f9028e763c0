"""Figures of chunks (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

from ragstone.types import ChunkDraft, ChunkStatistics

MEDIAN, TAIL = 0.5, 0.95


def statistics_of(drafts: Sequence[ChunkDraft]) -> ChunkStatistics:
    """Of one document's chunks, in order."""
    counts: dict[int | None, int] = {}
    for draft in drafts:
        counts[draft.token_count] = counts.get(draft.token_count, 0) + 1
    total = sum(draft.span.end - draft.span.start for draft in drafts)
    shared = sum(max(0, before.span.end - after.span.start) for before, after in pairwise(drafts))
    return chunk_statistics(counts, total, shared)


def chunk_statistics(
    chunks_by_tokens: Mapping[int | None, int], total_chars: int, shared_chars: int
) -> ChunkStatistics:
    """From how many chunks have how many tokens (None: unknown) and the characters of all of them."""
    known = sorted((tokens, count) for tokens, count in chunks_by_tokens.items() if tokens is not None)
    return ChunkStatistics(
        chunk_count=sum(chunks_by_tokens.values()),
        tokens_p50=_percentile(known, MEDIAN),
        tokens_p95=_percentile(known, TAIL),
        tokens_max=known[-1][0] if known else 0,
        overlap_share=round(shared_chars / total_chars, 4) if total_chars else 0.0,
        unmeasured=chunks_by_tokens.get(None, 0),
    )


def _percentile(counted: Sequence[tuple[int, int]], share: float) -> int:
    """The nearest rank: the least value that at least `share` of all lie at or below."""
    total = sum(count for _, count in counted)
    reached = accumulate(count for _, count in counted)
    return next(
        (value for (value, _), sum_ in zip(counted, reached, strict=True) if sum_ >= share * total), 0
    )
