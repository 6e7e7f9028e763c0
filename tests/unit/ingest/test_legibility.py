"""Text that nobody can read is told from text in any language."""

from __future__ import annotations

import pytest

from ragstone.ingest.legibility import is_legible, unreadable_share

ENGLISH = "The library opens at nine in the morning and the garden closes when the sun goes down. " * 3


@pytest.mark.parametrize(
    "text",
    [
        ENGLISH,
        "Der Zwölfjährige schloss schnell das Schränkchen mit Strümpfen und Schlüsseln zu. " * 3,
        "W Szczebrzeszynie chrząszcz brzmi w trzcinie i Szczebrzeszyn z tego słynie. " * 3,
        "Строгий библиотекарь открывает читальный зал в девять часов утра по будням. " * 3,
        "図書館は平日の朝九時に開きます。庭は日没に閉まります。" * 10,
        "| 2024 | 1,204.50 | 17 % |\n" * 30,
        "",
    ],
)
def test_text_of_any_language_is_legible(text: str) -> None:
    """Scripts, consonant clusters and figures are no sign of a broken font."""
    assert is_legible(text)


@pytest.mark.parametrize(
    "text",
    [
        "(cid:12)(cid:7)(cid:33) " * 20,
        "\ue012\ue044\ue051 \ue013" * 20,
        "\ufffd\ufffd\ufffd ab" * 20,
        "".join(char if char == " " else chr(ord(char) - 29) for char in ENGLISH),
        "".join(char if char == " " else chr(ord(char) - 1) for char in ENGLISH),
    ],
)
def test_glyph_numbers_private_characters_and_shifted_letters_are_not(text: str) -> None:
    """What fonts without a map to Unicode leave behind."""
    assert not is_legible(text)


def test_a_few_symbols_do_not_make_a_page_unreadable() -> None:
    """Bullets of a symbol font are private characters in a page that reads well."""
    text = "\uf0b7 " + ENGLISH

    assert 0 < unreadable_share(text) < 0.01
    assert is_legible(text)
