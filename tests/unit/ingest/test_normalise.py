"""Bytes of any encoding become one storable text."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given, strategies as st

from ragstone.ingest.normalise import decode, normalise

_GERMAN = "Die Straße führt über den Fluß; Käthe grüßt höflich und fährt weiter nach Süden. " * 3
_JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。" * 4
_RUSSIAN = "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему. " * 3


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", _GERMAN),
        ("utf-8-sig", _GERMAN),
        ("utf-16", _RUSSIAN),
        ("utf-32", _RUSSIAN),
        ("utf-16-le", _GERMAN),
        ("utf-16-be", _GERMAN),
        ("cp1252", _GERMAN),
        ("cp1251", _RUSSIAN),
        ("shift_jis", _JAPANESE),
        ("euc_jp", _JAPANESE),
    ],
)
def test_text_is_read_in_the_encoding_it_was_written_in(encoding: str, text: str) -> None:
    """By its mark, its NUL bytes or its letters."""
    decoded = decode(text.encode(encoding))

    assert decoded.text == text
    assert decoded.warnings == ()


def test_a_declared_encoding_is_believed_when_it_fits() -> None:
    """An XML or HTML head knows better than any guess."""
    assert decode("Ελλάδα".encode("iso-8859-7"), "iso-8859-7").text == "Ελλάδα"
    assert decode("Ελλάδα".encode(), "ascii").text == "Ελλάδα"
    assert decode(b"plain", "no-such-encoding").text == "plain"


def test_a_few_broken_bytes_cost_only_themselves() -> None:
    """UTF-8 that was damaged stays UTF-8, with a warning."""
    decoded = decode(_GERMAN.encode() + b"\xff end")

    assert decoded.text == _GERMAN + "\ufffd end"
    assert "U+FFFD" in decoded.warnings[0]


@given(st.binary(max_size=300))
def test_no_bytes_stop_an_ingest(content: bytes) -> None:
    """Whatever they are, they decode, and the result can be stored."""
    normalise(decode(content).text).encode("utf-8")


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=200))
@example("\ud800 half a pair")
@example("\r\x00\n\ufeffe\u0301")
def test_normalising_twice_changes_nothing(text: str) -> None:
    """The stored form is a fixed point, without any of what it forbids."""
    once = normalise(text)

    assert normalise(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert not set(once) & {"\r", "\x00", "\ufeff"}
    once.encode("utf-8")


def test_every_line_end_becomes_a_newline() -> None:
    """DOS, old Mac and Unix."""
    assert normalise("a\r\nb\rc\nd\r\r\n") == "a\nb\nc\nd\n\n"


def test_a_million_combining_marks_are_no_stall() -> None:
    """Sorting such a run is quadratic, and no thread runs meanwhile: it is broken up; others are not."""
    stacked = normalise("a" + "\u0301" * 500_000 + "\u0316" * 500_000)

    assert max(len(run) for run in stacked.split("\u034f")) <= 32
    assert normalise("e\u0301\u0316 o\u0302") == "\u00e9\u0316 \u00f4"
