"""What searching and asking note of every request, whichever door it came through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ragstone.search.understand import normalise_query

if TYPE_CHECKING:
    from ragstone.analytics.asking import Asking
    from ragstone.analytics.tracker import QueryTracker
    from ragstone.operate.load import Load


class Recorder:
    """Counts requests in flight, and the questions of those that were answered."""

    def __init__(self, tracker: QueryTracker, load: Load, query_max_chars: int) -> None:
        self._tracker = tracker
        self._load = load
        self._query_max_chars = query_max_chars

    @contextmanager
    def answering(self, *, is_tracked: bool) -> Iterator[None]:
        """Around a request; what warming asks is no load that it should wait for."""
        if not is_tracked:
            yield
            return
        with self._load.request():
            yield

    def record(self, asking: Asking, hit_count: int) -> None:
        """Count a request that was answered."""
        search = asking.search
        query = normalise_query(search.query, self._query_max_chars)
        self._tracker.record(replace(asking, search=replace(search, query=query)), hit_count)
