"""Where sentences end, and where they only seem to."""

from __future__ import annotations

import pytest

from ragstone.answer.sentences import sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ('He said "stop." Then he left.', ['He said "stop."', "Then he left."]),
        ("See Dr. Smith of St. Ives.", ["See Dr. Smith of St. Ives."]),
        ("Birds, e.g. Herons, wait.", ["Birds, e.g. Herons, wait."]),
        ("J. S. Bach wrote it. It is long.", ["J. S. Bach wrote it.", "It is long."]),
        ("It costs 3.50 today. Cheap.", ["It costs 3.50 today.", "Cheap."]),
        ("on www.example.org we read", ["on www.example.org we read"]),
        ("walls and towers. and more", ["walls and towers. and more"]),
        ("檢索增強生成。它很好！真的？", ["檢索增強生成。", "它很好！", "真的？"]),
        ("「行く。」と言った。", ["「行く。」", "と言った。"]),
        ("# Heading\n\nText one. Text two.", ["# Heading", "Text one.", "Text two."]),
        ("Items:\n- first one\n- second one", ["Items:", "- first one", "- second one"]),
        ("1. first\n2. second", ["1. first", "2. second"]),
        ("| a | b |\n| c | d |", ["| a | b |", "| c | d |"]),
        ("a line\ngoes on here.", ["a line\ngoes on here."]),
        ("Wait... what?", ["Wait... what?"]),
        ("", []),
        (" \n\t ", []),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text: str, expected: list[str]) -> None:
    """Abbreviations, initials, numbers, lists, tables, headings and CJK."""
    assert [span.of(text) for span in sentences(text)] == expected
