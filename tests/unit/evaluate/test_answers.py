"""Judging quotes against known answers."""

from __future__ import annotations

import pytest

from ragstone.evaluate.answers import contains_answer, normalise_answer


@pytest.mark.parametrize(
    ("text", "normal"),
    [("The Denver Broncos.", "denver broncos"), ("24–10", "24–10"), ("a  man,\nan apple", "man apple")],
)
def test_answers_are_normalised_as_squad_does(text: str, normal: str) -> None:
    """Case, ASCII punctuation, articles and white space do not matter."""
    assert normalise_answer(text) == normal


@pytest.mark.parametrize(
    ("quote", "is_contained", "is_in_words"),
    [
        ("It was won by the Denver Broncos, again.", True, True),
        ("A Denver paper wrote of Broncos.", False, False),
        ("In 19155 nothing happened.", True, False),
    ],
)
def test_an_answer_is_found_in_a_quote(quote: str, *, is_contained: bool, is_in_words: bool) -> None:
    """The strict reading does not take `1915` for a part of `19155`."""
    answers = ["Denver Broncos", "1915"]

    assert contains_answer(quote, answers) is is_contained
    assert contains_answer(quote, answers, in_words=True) is is_in_words


def test_an_answer_of_nothing_but_articles_is_never_contained() -> None:
    """An empty wording would be found everywhere."""
    assert not contains_answer("anything", ["the", "..."])
