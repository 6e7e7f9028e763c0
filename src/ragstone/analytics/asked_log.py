"""What every search and answer says in the log: how long it took, and where when that was too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from ragstone.analytics.asked import Asked
    from ragstone.settings import TelemetrySettings

log = structlog.get_logger(__name__)


class AskedLog:
    """A sink of the recorder: a line per request at debug; slow ones, where no HTTP request tells of them."""

    def __init__(self, settings: TelemetrySettings) -> None:
        self._slow_ms = settings.slow_request_ms
        self._is_debug = settings.log_level == "debug"

    def __call__(self, asked: Asked) -> None:
        """Log one request."""
        duration_ms = asked.timings_ms.get("total", 0.0)
        if self._is_debug:
            log.debug("performance", **_told(asked), cache=asked.cache, hit_count=asked.hit_count)
        if 0 < self._slow_ms < duration_ms and asked.caller.door != "http":
            log.warning("slow_request", **_told(asked), door=asked.caller.door)


def _told(asked: Asked) -> dict[str, object]:
    return {
        "operation": asked.asking.kind,
        "duration_ms": asked.timings_ms.get("total", 0.0),
        "answer_id": asked.answer_id,
        "stages_ms": dict(asked.timings_ms),
    }
