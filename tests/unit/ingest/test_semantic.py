"""Sentences of one meaning stay together, whatever the budget would allow."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings, strategies as st

from ragstone.ingest.semantic import cuts_by_meaning, units_of
from ragstone.ingest.table import Tables
from ragstone.ingest.token_ruler import TokenRuler
from ragstone.models.fakes import WordCounter
from ragstone.types import Span

CATS, CARS = (1.0, 0.0), (0.0, 1.0)


def _units(text: str, max_tokens: int) -> list[Span]:
    ruler = TokenRuler(text, WordCounter())
    return list(units_of(text, Span(0, len(text)), max_tokens, ruler, Tables(text)))


def _cut(meanings: list[tuple[float, float]], max_tokens: int) -> list[str]:
    """The topics of each stretch, where every unit is one word."""
    text = " ".join("c" if meaning == CATS else "v" for meaning in meanings)
    units = [Span(2 * n, 2 * n + 1) for n in range(len(meanings))]
    cuts = cuts_by_meaning(units, np.array(meanings, np.float32), max_tokens, TokenRuler(text, WordCounter()))
    return [span.of(text).replace(" ", "") for span in cuts]


def test_the_cut_is_where_the_meaning_changes() -> None:
    """Not where the budget ends."""
    assert _cut([CATS] * 3 + [CARS] * 4 + [CATS] * 2, 20) == ["ccc", "vvvv", "cc"]


def test_a_topic_longer_than_the_budget_is_cut_within_it() -> None:
    """No stretch holds more than the budget, and none mixes topics."""
    cuts = _cut([CATS] * 5 + [CARS] * 2, 3)

    assert "".join(cuts) == "cccccvv"
    assert all(len(cut) <= 3 and len(set(cut)) == 1 for cut in cuts)


def test_a_text_of_one_meaning_fills_its_chunks() -> None:
    """Nothing speaks for a cut but the budget."""
    assert sorted(map(len, _cut([CATS] * 10, 4))) == [2, 4, 4]


def test_units_are_whole_sentences() -> None:
    """Of at least an eighth of the budget; the heading goes with its first sentence."""
    text = "# Cats\n\nCats purr. They sleep a lot. Cars need fuel, and roads.\nBusses too."

    assert [unit.of(text) for unit in _units(text, 16)] == [
        "# Cats\n\nCats purr.",
        "They sleep a lot.",
        "Cars need fuel, and roads.",
        "Busses too.",
    ]


def test_a_tables_header_goes_with_its_first_row() -> None:
    """Rows are units; sentences inside them are not."""
    text = "Prose.\n\n| a | b |\n| --- | --- |\n| One. Two. | x |\n| Three | y |\n"

    assert [unit.of(text) for unit in _units(text, 8)] == [
        "Prose.",
        "| a | b |\n| --- | --- |\n| One. Two. | x |",
        "| Three | y |",
    ]


@settings(max_examples=100, deadline=None)
@given(
    topics=st.lists(st.sampled_from([CATS, CARS, (0.6, 0.8)]), min_size=1, max_size=120),
    max_tokens=st.integers(1, 60),
)
def test_every_unit_is_in_one_stretch_within_the_budget(
    topics: list[tuple[float, float]], max_tokens: int
) -> None:
    """In order, none left out, none too long."""
    cuts = _cut(topics, max_tokens)

    assert sum(map(len, cuts)) == len(topics)
    assert all(0 < len(cut) <= max_tokens for cut in cuts)
