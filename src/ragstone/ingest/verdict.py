"""What becomes of a job whose attempt failed: try again, or give up (pure)."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragstone.errors import (
    Conflict,
    DocumentRejected,
    InvalidRequest,
    ModelMismatch,
    NotFound,
    NotReady,
    RagstoneError,
)
from ragstone.store.job_rows import ClaimedJob, seconds_since

if TYPE_CHECKING:
    from ragstone.settings import IngestSettings

LONGEST_BACKOFF_S = 60.0
MOST_DOUBLINGS = 16
REFUSALS = (DocumentRejected, InvalidRequest, NotFound, Conflict)
"""The same file would be refused again, and again."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the job is over, how many failures count, and how long it waits for its next attempt."""

    is_over: bool
    failures: int
    keeps_original: bool
    wait_s: float


def judge(claimed: ClaimedJob, error: RagstoneError, settings: IngestSettings) -> Verdict:
    """An outage is waited out and not held against the file; a refusal is final; the rest is counted."""
    is_outage = error.retryable or isinstance(error, NotReady)
    is_refused = isinstance(error, REFUSALS)
    failures = claimed.job.failures + (not is_outage)
    if is_outage:
        is_over = seconds_since(claimed.job.started_at or claimed.job.created_at) > settings.retry_for_s
    else:
        is_over = is_refused or failures >= settings.max_attempts
    doublings = min(claimed.lease.attempt - 1, MOST_DOUBLINGS)
    return Verdict(
        is_over=is_over,
        failures=failures,
        keeps_original=not is_refused or isinstance(error, ModelMismatch),
        wait_s=min(LONGEST_BACKOFF_S, settings.retry_backoff_s * 2.0**doublings),
    )


def spread(wait_s: float) -> float:
    """A wait a quarter shorter to a quarter longer, so that those that failed together part."""
    return wait_s * random.uniform(0.75, 1.25)  # noqa: S311 (guards nothing)
