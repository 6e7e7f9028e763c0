"""Loops that go on when a round fails: the first failure of a row is told and noted, and its end is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from ragstone.analytics.error_log import Background, FailureSink

log = structlog.get_logger(__name__)


class Rounds:
    """The rounds of one process's background loops, each named by what it does."""

    def __init__(self, note_failure: FailureSink, service: Background) -> None:
        self._note_failure = note_failure
        self._service = service
        self._failed: dict[str, int] = {}

    @contextmanager
    def round(self, operation: str) -> Iterator[None]:
        """One round: what it raises ends the round, not the loop."""
        try:
            yield
        except Exception as error:
            count = self._failed[operation] = self._failed.get(operation, 0) + 1
            if count == 1:
                log.exception("round_failed", operation=operation)
                self._note_failure(error, operation, service=self._service)
        else:
            if rounds := self._failed.pop(operation, 0):
                log.info("rounds_go_well_again", operation=operation, failed=rounds)
