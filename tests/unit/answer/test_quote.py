"""Which sentences answer: the matching ones, each once, within the limits."""

from __future__ import annotations

import numpy as np
import pytest
from tests.support.corpus import hit

from ragstone.answer.quote import MOST_PASSAGES, candidate_sentences, choose
from ragstone.index.analysis import Analysis

ENGLISH = Analysis("en")


def quotes(question: str, *texts: str, max_quotes: int = 3, max_chars: int = 600) -> list[str]:
    """The chosen sentences, by words alone."""
    hits = [hit(text, document_id=f"d{at}", start=7) for at, text in enumerate(texts)]
    candidates = candidate_sentences(question, hits, ENGLISH)
    return [found.text for found in choose(candidates, None, None, max_quotes, max_chars)]


def test_the_sentence_with_the_rare_words_comes_first() -> None:
    """The best match leads, whatever its place in the passage."""
    found = quotes("Who built the lighthouse?", "It is old. Foix built the lighthouse. It is white.")

    assert found[0] == "Foix built the lighthouse."


def test_spans_count_from_the_start_of_the_document() -> None:
    """The quote is what stands there."""
    text = "It is old. Foix built it."
    candidates = candidate_sentences("Who built it?", [hit(text, start=7)], ENGLISH)

    for sentence in candidates.sentences:
        assert text[sentence.span.start - 7 : sentence.span.end - 7] == sentence.text


def test_both_limits_are_kept() -> None:
    """A sentence too long for what is left is passed over for a shorter one."""
    long = f"Herons {'wait and ' * 20}wait."
    texts = [f"{long} Herons fish.", "Herons fly. Herons nest."]

    assert len(quotes("herons", *texts, max_quotes=2)) == 2
    short = quotes("herons", *texts, max_chars=25)
    assert long not in short
    assert sum(map(len, short)) <= 25


def test_the_same_wording_is_quoted_once() -> None:
    """Boilerplate repeated in many documents takes one place."""
    assert quotes("herons", "Herons  wait.", "herons wait.", "Herons fish.") == [
        "Herons  wait.",
        "Herons fish.",
    ]


def test_headings_and_rules_are_no_sentences() -> None:
    """A lone heading or a table rule says nothing by itself."""
    assert quotes("herons", "# Herons\n\n|---|---|\n\nHerons wait.") == ["Herons wait."]


def test_no_evidence_is_no_quote() -> None:
    """Without a shared word and without a near meaning nothing is quoted; without hits nothing either."""
    assert quotes("airspeed of a swallow", "Granite is a rock.") == []
    assert quotes("airspeed") == []


@pytest.mark.parametrize(("cosine", "count"), [(0.9, 1), (0.1, 0)])
def test_a_near_meaning_is_evidence_without_a_shared_word(cosine: float, count: int) -> None:
    """The dense view alone can carry a quote when it is near enough."""
    candidates = candidate_sentences("swallow", [hit("Birds fly.")], ENGLISH)
    query = np.array([1, 0], np.float32)
    matrix = np.array([[cosine, 0.4]], np.float32)

    assert len(choose(candidates, query, matrix, 3, 600)) == count


def test_only_the_best_passages_are_read() -> None:
    """A match in a far passage is not dug out."""
    texts = ["Granite is a rock."] * MOST_PASSAGES + ["Herons wait."]

    assert quotes("herons", *texts) == []
