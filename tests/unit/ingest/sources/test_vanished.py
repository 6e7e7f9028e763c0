"""What is gone under one uri and new under another has moved, once."""

from __future__ import annotations

from ragstone.ingest.sources.vanished import Vanished
from ragstone.store.sources import KnownItem


def item(uri: str, content_sha256: str, *, is_stored: bool = True) -> KnownItem:
    """An item that a source held."""
    return KnownItem(uri, "default", "f", content_sha256, is_stored=is_stored)


def test_equal_content_moves_one_by_one() -> None:
    """In the order listed; what is left has vanished."""
    vanished = Vanished([item("a.md", "x"), item("b.md", "x"), item("c.md", "y")])

    assert vanished.take_same("n.md", "x") == item("a.md", "x")
    assert vanished.take_same("o.md", "x") == item("b.md", "x")
    assert vanished.take_same("p.md", "x") is None
    assert [row.uri for row in vanished.rows] == ["c.md"]


def test_another_kind_of_name_and_what_is_not_stored_are_no_moves() -> None:
    """A format is told by the suffix; a document removed by hand is not there to move."""
    vanished = Vanished([item("a.md", "x"), item("b.txt", "y", is_stored=False)])

    assert vanished.take_same("a.txt", "x") is None
    assert vanished.take_same("c.txt", "y") is None
    assert len(vanished.rows) == 2
