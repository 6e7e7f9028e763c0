"""Loops that go on when a round fails: the first failure of a row is told and noted, and its end is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from ragstone.telemetry.spans import failure_of

if TYPE_CHECKING:
    from ragstone.analytics.error_log import Background, FailureSink

log = structlog.get_logger(__name__)

TOLD_EVERY = 100
"""Failed rounds of a row between two lines of the log."""


@dataclass(slots=True)
class _Trouble:
    kind: str
    count: int


class Rounds:
    """The rounds of one process's background loops, each named by what it does."""

    def __init__(self, note_failure: FailureSink, service: Background) -> None:
        self._note_failure = note_failure
        self._service = service
        self._troubles: dict[str, _Trouble] = {}

    @contextmanager
    def round(self, operation: str) -> Iterator[None]:
        """One round: what it raises ends the round, not the loop. Another kind of trouble is a new one."""
        try:
            yield
        except Exception as error:
            if self._is_new(operation, failure_of(error)):
                log.exception("round_failed", operation=operation)
                self._note_failure(error, operation, service=self._service)
        else:
            if (over := self._troubles.pop(operation, None)) is not None:
                log.info("rounds_go_well_again", operation=operation, failed=over.count)

    def _is_new(self, operation: str, kind: str) -> bool:
        known = self._troubles.get(operation)
        if known is None or known.kind != kind:
            self._troubles[operation] = _Trouble(kind, 1)
            return True
        known.count += 1
        if known.count % TOLD_EVERY == 0:
            log.warning("rounds_still_fail", operation=operation, failed=known.count, failure=kind)
        return False
