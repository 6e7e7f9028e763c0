"""A whole evaluation of a tiny collection, on the real engine and the bundled model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from ragstone.evaluate.datasets import Dataset
from ragstone.evaluate.retrieval import (
    MODES,
    RetrievalOptions,
    evaluate_retrieval,
    quality,
    retrieval_table,
    retrieval_wire,
)
from ragstone.settings import Settings


@pytest.mark.anyio
async def test_every_mode_and_the_control_are_measured_on_the_whole_product(collection_folder: Path) -> None:
    """An empty document is counted, not fatal; a long one is several chunks in the product only."""
    options = RetrievalOptions(answers_every=1)
    report = await evaluate_retrieval(Settings(), collection_folder, options=options)

    assert report.document_count == 4
    assert report.skipped_count == 1
    assert report.chunk_count > 4
    assert report.query_count == 3
    assert report.degraded_count == 0
    assert tuple(report.modes) == MODES
    assert report.one_chunk is not None
    for qualities in (report.modes, report.one_chunk):
        assert qualities["hybrid"].ndcg_at_10 == pytest.approx(1.0)
        assert qualities["lexical"].recall_at_10 == 1.0
    assert report.answers is not None
    assert report.answers.contained == report.answers.retrieved == 1.0


@pytest.mark.anyio
async def test_the_control_and_questions_can_be_left_out(collection_folder: Path) -> None:
    """What takes half of the time is a choice; the report says that it is missing."""
    report = await evaluate_retrieval(
        Settings(), collection_folder, options=RetrievalOptions(has_control=False, query_step=2)
    )

    wire = json.loads(json.dumps(retrieval_wire(report)))
    assert wire["queries"] == 2
    assert wire["one_chunk"] is None
    assert wire["answers"] is None
    assert set(wire["modes"]["hybrid"]) == {
        "ndcg_at_10",
        "ndcg_at_10_interval",
        "recall_at_10",
        "recall_at_100",
        "mrr_at_10",
    }
    console = Console(width=120, record=True, file=None, quiet=True)
    console.print(retrieval_table(report))


def test_a_question_without_a_ranking_counts_as_a_miss() -> None:
    """Leaving it out would flatter the mean."""
    dataset = Dataset("two", (), {"a": "x", "b": "y"}, {"a": {"d": 1}, "b": {"e": 1}})

    found = quality({"a": ["d"]}, dataset)

    assert (found.ndcg_at_10, found.recall_at_10, found.mrr_at_10) == (0.5, 0.5, 0.5)
