"""One request for a search or an answer, as everything that keeps a record of it sees it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ragstone.analytics.asking import Asking
from ragstone.errors import RagstoneError
from ragstone.telemetry.caller import Caller, present_caller
from ragstone.telemetry.spans import present_trace_id
from ragstone.telemetry.trail import Trail
from ragstone.types import AnswerId, AnswerMode, CacheUse, Citation, Hit, Usage


def present_ms() -> int:
    """Milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked, by whom, and what came of it; `error_code` is None when it was answered.

    `model` wrote the answer, or is None; `error` is what was raised, where something was.
    `hits` and `citations` are empty for a response that was sent again as it was: `hit_count` still holds.
    """

    asking: Asking
    timings_ms: Mapping[str, float]
    hit_count: int = 0
    hits: tuple[Hit, ...] = ()
    cache: CacheUse = "off"
    degraded: tuple[str, ...] = ()
    corpus_version: int = 0
    answer_id: AnswerId | None = None
    mode: AnswerMode | None = None
    citations: tuple[Citation, ...] = ()
    usage: Usage | None = None
    model: str | None = None
    error_code: str | None = None
    trail: Trail | None = None
    """What was noted on the way; None of what nobody may look up."""
    trace_id: str = field(default_factory=present_trace_id)
    error: RagstoneError | None = None
    caller: Caller = field(default_factory=present_caller)
    at_ms: int = field(default_factory=present_ms)


AskedSink = Callable[[Asked], None]
"""Takes a record without waiting: it is called while the request runs."""
