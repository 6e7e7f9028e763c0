"""The synchronous encoder and its pure steps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from ragstone.errors import EmbeddingFailed
from ragstone.models.card import ModelCard
from ragstone.models.encoder import SentenceEncoder
from ragstone.models.ports import Placement
from ragstone.models.text_batches import Ids, pad, plan_batches
from ragstone.types import Matrix

TEXTS = st.text(st.characters(codec="utf-8"), max_size=80) | st.text("abc xyz 123", max_size=600)


@given(st.lists(st.integers(1, 300), max_size=60), st.integers(1, 2000), st.integers(1, 40))
def test_a_plan_holds_every_text_once_within_its_budget(lengths: list[int], budget: int, most: int) -> None:
    """Each position once; at most `most` texts; padded size within the budget unless a text is alone."""
    plan = plan_batches(lengths, budget, most)

    assert sorted(position for batch in plan for position in batch) == list(range(len(lengths)))
    for batch in plan:
        longest = max(lengths[position] for position in batch)
        assert len(batch) <= most
        assert len(batch) == 1 or longest * len(batch) <= budget


def test_padding_reaches_to_the_longest_text_only() -> None:
    """Ids are padded with zero and the mask says where."""
    ids, mask = pad([[101, 7, 102], [101, 102]])

    assert ids.tolist() == [[101, 7, 102], [101, 102, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 1, 0]]


@settings(max_examples=25, deadline=None)
@given(text=TEXTS, others=st.lists(TEXTS, min_size=1, max_size=12), place=st.integers(0, 12))
def test_a_vector_does_not_depend_on_its_batch(
    bundled: SentenceEncoder, text: str, others: list[str], place: int
) -> None:
    """Cosine >= 0.99999 between a text alone and the same text among others."""
    alone = bundled.encode([text])[0]

    together = bundled.encode([*others[:place], text, *others[place:]])[min(place, len(others))]

    assert float(alone @ together) >= 0.99999


def test_text_beyond_the_window_does_not_reach_the_vector(bundled: SentenceEncoder) -> None:
    """254 words fill the window; what follows changes nothing."""
    full = "stone " * (bundled.card.max_tokens - 2)

    one, two = bundled.encode([full, full + "and then something else"])

    np.testing.assert_allclose(one, two, atol=1e-6)


def test_a_lone_surrogate_is_embedded_as_a_question_mark(bundled: SentenceEncoder) -> None:
    """JSON can carry half a surrogate pair; it is no reason to fail."""
    broken, mark = bundled.encode(["a\ud83d b", "a? b"])

    np.testing.assert_allclose(broken, mark, atol=1e-6)


def test_no_texts_give_no_rows(bundled: SentenceEncoder) -> None:
    """An empty list is a value."""
    assert bundled.encode([]).shape == (0, bundled.card.dim)


def test_tokens_are_counted_without_specials_and_without_end(bundled: SentenceEncoder) -> None:
    """The counter does not stop at the window."""
    assert bundled.tokens.count("") == 0
    assert bundled.tokens.count("hello world") == 2
    assert bundled.tokens.count("stone " * 1000) == 1000


class BrokenGraph:
    """A runtime that fails."""

    placement = Placement("cpu", "broken", "none", "float32")

    def run(self, ids: Ids, mask: Ids) -> Matrix:
        """Fail."""
        raise EmbeddingFailed("out of memory")


def test_a_failing_runtime_is_reported(bundled: SentenceEncoder) -> None:
    """The error passes through the encoder."""
    card = ModelCard("m", "1", 4, 16, 0)

    with pytest.raises(EmbeddingFailed, match="out of memory"):
        SentenceEncoder(card, bundled.tokens, BrokenGraph()).encode(["a"])


def test_onnxruntime_failures_are_translated(bundled: SentenceEncoder) -> None:
    """A batch that the runtime refuses raises `EmbeddingFailed`."""
    outside = np.full((1, 3), 10**6, np.int32)

    with pytest.raises(EmbeddingFailed, match="batch of 1 texts"):
        bundled._graph.run(outside, np.ones_like(outside))
