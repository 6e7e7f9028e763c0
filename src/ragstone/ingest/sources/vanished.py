"""What a source held and holds no more: to be removed, unless it only moved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePath

from ragstone.store.sources import KnownItem


class Vanished:
    """Items that the listing did not name."""

    def __init__(self, rows: Iterable[KnownItem]) -> None:
        self._rows = {row.uri: row for row in rows}
        self._stored: defaultdict[tuple[str, str], list[KnownItem]] = defaultdict(list)
        for row in self._rows.values():
            if row.is_stored:
                self._stored[_kind(row.uri, row.content_sha256)].append(row)

    @property
    def rows(self) -> Sequence[KnownItem]:
        """Those that did not move."""
        return tuple(self._rows.values())

    def take_same(self, uri: str, content_sha256: str) -> KnownItem | None:
        """An item with this content and kind of name, which is not vanished then: it is at `uri` now."""
        same = self._stored[_kind(uri, content_sha256)]
        return self._rows.pop(same.pop(0).uri) if same else None


def _kind(uri: str, content_sha256: str) -> tuple[str, str]:
    return content_sha256, PurePath(uri).suffix
