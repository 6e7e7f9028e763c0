"""Figures of chunks are what they are called."""

from __future__ import annotations

from ragstone.ingest.statistics import chunk_statistics, statistics_of
from ragstone.types import ChunkDraft, ChunkStatistics, Span


def test_percentiles_are_values_that_occur() -> None:
    """By nearest rank: half, and 95 of 100, lie at or below."""
    found = chunk_statistics(dict.fromkeys(range(1, 101), 1), 1000, 250)

    assert found == ChunkStatistics(100, 50, 95, 100, 0.25)


def test_chunks_without_a_count_are_named_and_left_out() -> None:
    """Of a home that was filled before tokens were kept."""
    assert chunk_statistics({None: 3, 7: 1}, 10, 0) == ChunkStatistics(4, 7, 7, 7, 0.0, 3)
    assert chunk_statistics({}, 0, 0) == ChunkStatistics(0, 0, 0, 0, 0.0)


def test_overlap_is_the_share_that_stands_in_the_chunk_before() -> None:
    """Gaps between chunks do not count against it."""
    drafts = [ChunkDraft(Span(0, 10), token_count=4), ChunkDraft(Span(8, 16), token_count=3)]
    drafts += [ChunkDraft(Span(20, 22), token_count=1)]

    assert statistics_of(drafts) == ChunkStatistics(3, 3, 4, 4, 0.1)
