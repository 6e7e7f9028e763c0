"""What searching and asking note of every request, whichever door it came through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ragstone.errors import InvalidRequest
from ragstone.search.understand import normalise_query
from ragstone.telemetry.spans import annotate

if TYPE_CHECKING:
    from ragstone.analytics.asked import Asked, AskedSink
    from ragstone.analytics.tracker import QueryTracker
    from ragstone.operate.load import Load
    from ragstone.telemetry.spans import Attribute


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
        annotate(_attributes(asked))
        noted = self._normalised(asked)
        for sink in self._sinks:
            sink(noted)
        if asked.error_code is None:
            self._tracker.record(noted.asking, noted.hit_count, noted.caller)

    def _normalised(self, asked: Asked) -> Asked:
        """With the question in the form in which it is counted and erased; one that has none, cut to size."""
        asking, search = asked.asking, asked.asking.search
        try:
            query = normalise_query(search.query, self._query_max_chars)
        except InvalidRequest:
            cut = search.query[: self._query_max_chars]
            query = cut.encode("utf-8", "replace").decode()
        if query == search.query:
            return asked
        return replace(asked, asking=replace(asking, search=replace(search, query=query)))


def _attributes(asked: Asked) -> dict[str, Attribute]:
    """What the span of a request says of it: counts and names, no words of anybody."""
    said: dict[str, Attribute] = {
        "ragstone.operation": asked.asking.kind,
        "ragstone.cache": asked.cache,
        "ragstone.hit_count": asked.hit_count,
        "ragstone.corpus_version": asked.corpus_version,
        "ragstone.degraded": list(asked.degraded),
    }
    if asked.answer_id is not None:
        said["ragstone.answer_id"] = asked.answer_id
    if asked.error_code is not None:
        said["error.type"] = asked.error_code
    return said
