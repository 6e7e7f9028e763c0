"""Folding, words and terms: what questions are compared by."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ragstone.analytics.words import (
    CROWDED,
    distinct_words,
    fold,
    fold_prefix,
    looked_for_terms,
    rarest,
    stored_terms,
    words_of,
)


@given(st.text(max_size=60))
def test_folding_twice_changes_nothing(text: str) -> None:
    """The folded form is a fixed point, without case and without white space at its ends."""
    folded = fold(text)

    assert fold(folded) == folded == folded.strip()


@given(st.text(alphabet="aAbBéÉßﬁ K１", min_size=1, max_size=20), st.data())
def test_a_question_begins_with_the_fold_of_its_beginning(question: str, data: st.DataObject) -> None:
    """A prefix typed letter by letter, in any case, finds the question."""
    question = " ".join(question.split())
    cut = data.draw(st.integers(0, len(question)))

    assert fold(question).startswith(fold_prefix(question[:cut]).rstrip())
    assert fold(question).startswith(fold(question[:cut].upper()).rstrip()) or "ß" in question


def test_a_space_at_the_end_of_a_prefix_ends_its_word() -> None:
    """`where ` does not complete to `wherever`."""
    assert fold_prefix("Where ") == "where "
    assert fold_prefix("  ") == ""


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("when does the pool open?", {"when", "does", "the", "pool", "open"}),
        ("issue-1234: c++", {"issue", "1234", "c"}),
        ("図書館は", {"図書", "書館", "館は"}),
        ("?!", set()),
    ],
)
def test_words_are_letters_and_digits_and_bigrams_of_cjk(question: str, words: set[str]) -> None:
    """No punctuation; scripts without spaces are compared by pairs of characters."""
    assert distinct_words(question) == words
    assert set(words_of(question).values()) == words


@given(st.dictionaries(st.integers(), st.integers(1, 10_000), min_size=1, max_size=9), st.data())
def test_questions_of_the_same_rare_words_share_a_term(counts: dict[int, int], data: st.DataObject) -> None:
    """Whatever common words are added to a question: while its three rarest words stay, it is found."""
    words = list(counts)
    more = {word: 20_000 for word in data.draw(st.sets(st.integers(), max_size=3)) if word not in counts}
    known = counts | more

    stored = stored_terms(words, known)
    looked_for = looked_for_terms([*words, *more], known)

    assert stored & set(looked_for)


def test_a_word_that_everybody_uses_is_no_term_of_its_own() -> None:
    """Its list would only grow; pairs with rarer words find the question."""
    counts = {1: CROWDED + 1, 2: 5, 3: 7}

    assert rarest([1, 2, 3], counts) == [2, 3, 1]
    assert 1 not in stored_terms([1, 2, 3], counts)
    assert {2, 3} < stored_terms([1, 2, 3], counts)
    assert stored_terms([1], counts) == {1}
