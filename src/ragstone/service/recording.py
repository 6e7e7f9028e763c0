"""What searching and asking note of every request, whichever door it came through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ragstone.errors import InvalidRequest
from ragstone.search.understand import normalise_query

if TYPE_CHECKING:
    from ragstone.analytics.asked import Asked, AskedSink
    from ragstone.analytics.tracker import QueryTracker
    from ragstone.operate.load import Load


class Recorder:
    """Counts requests in flight, the questions of those that were answered, and tells the sinks of each."""

    def __init__(
        self, tracker: QueryTracker, load: Load, query_max_chars: int, sinks: Sequence[AskedSink] = ()
    ) -> None:
        self._tracker = tracker
        self._load = load
        self._query_max_chars = query_max_chars
        self._sinks = tuple(sinks)

    @contextmanager
    def answering(self, *, is_tracked: bool) -> Iterator[None]:
        """Around a request; what warming asks is no load that it should wait for."""
        if not is_tracked:
            yield
            return
        with self._load.request():
            yield

    def record(self, asked: Asked) -> None:
        """Note a request that was answered or failed."""
        search = asked.asking.search
        asking = replace(asked.asking, search=replace(search, query=self._normal(search.query)))
        noted = replace(asked, asking=asking)
        for sink in self._sinks:
            sink(noted)
        if asked.error_code is None:
            self._tracker.record(asking, asked.hit_count)

    def _normal(self, query: str) -> str:
        """The normal form; of a question that has none, as much of it as one may have."""
        try:
            return normalise_query(query, self._query_max_chars)
        except InvalidRequest:
            return query[: self._query_max_chars]
