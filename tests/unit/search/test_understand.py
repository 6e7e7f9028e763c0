"""What a question is before it is asked."""

from __future__ import annotations

import pytest
from tests.support.corpus import collection_named

from ragstone.errors import InvalidRequest
from ragstone.search.understand import LEAN_DENSE, default_weights, is_mostly_non_latin, normalise_query
from ragstone.types import Weights

ENGLISH = frozenset({"en"})
CONFIGURED = Weights(1.0, 2.0)
LEANING = Weights(1.0, 2.0 * LEAN_DENSE)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("  a \n\t b  ", "a b"),
        ("cafe\u0301", "café"),
        ("a\x00b", "a b"),
        ("half \ud800 a character", "half ? a character"),
        ("\u3000漢\u2028字", "漢 字"),
    ],
)
def test_a_query_is_put_into_its_normal_form(query: str, expected: str) -> None:
    """NFC, white space folded, no NUL, nothing that is not Unicode."""
    assert normalise_query(query, 100) == expected


@pytest.mark.parametrize("query", ["", "   ", "\n\t", "\x00", "\u2028"])
def test_an_empty_query_is_refused(query: str) -> None:
    """Nothing to look for is the caller's mistake."""
    with pytest.raises(InvalidRequest, match="empty"):
        normalise_query(query, 100)


def test_the_longest_query_passes_and_one_more_character_does_not() -> None:
    """The limit is named by its setting; white space around does not count."""
    assert normalise_query(f" {'x' * 10} ", 10) == "x" * 10
    with pytest.raises(InvalidRequest, match=r"11 characters; at most 10 .*limits\.query_max_chars"):
        normalise_query("x" * 11, 10)


@pytest.mark.parametrize(
    ("query", "language", "expected"),
    [
        ("a river", "en", CONFIGURED),
        ("a river", "de", LEANING),
        ("図書館", "en", LEANING),
        ("図書館 library opening hours", "en", CONFIGURED),
        ("12345", "en", CONFIGURED),
        ("Ünder Straße", "en", CONFIGURED),
    ],
)
def test_the_weights_lean_where_the_model_is_out_of_its_depth(
    query: str, language: str, expected: Weights
) -> None:
    """A collection or a script that the model does not know leaves more to the words."""
    collections = [collection_named("books", language=language)]

    assert default_weights(query, collections, ENGLISH, CONFIGURED) == expected


def test_a_model_of_other_scripts_does_not_lean() -> None:
    """A multilingual model is at home in Japanese."""
    collections = [collection_named("books", language="ja")]

    assert default_weights("図書館", collections, frozenset({"en", "ja"}), CONFIGURED) == CONFIGURED


@pytest.mark.parametrize(
    ("text", "expected"), [("", False), ("ab漢", False), ("a漢", False), ("a漢字", True), ("ｆｕｌｌ", False)]
)
def test_scripts_are_counted_by_letters(text: str, expected: bool) -> None:
    """More than half of the letters decide; digits and signs do not count."""
    assert is_mostly_non_latin(text) == expected
