"""What a source held and holds no more: to be removed, unless it only moved."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath

from ragstone.store.sources import KnownItem


class Vanished:
    """Items that the listing did not name."""

    def __init__(self, rows: Iterable[KnownItem]) -> None:
        self.rows = list(rows)

    def take_same(self, uri: str, content_sha256: str) -> KnownItem | None:
        """An item with this content and kind of name, which is not vanished then: it is at `uri` now."""
        suffix = PurePath(uri).suffix
        for row in self.rows:
            is_same = row.content_sha256 == content_sha256 and PurePath(row.uri).suffix == suffix
            if is_same and row.is_stored:
                self.rows.remove(row)
                return row
        return None
