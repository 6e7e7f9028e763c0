"""What became of an upload is told as soon as it is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragstone.config import load
from ragstone.deadline import Deadline
from ragstone.ingest.request import IngestRequest
from ragstone.models.fakes import HashEmbedder
from ragstone.runtime.engine import open_engine
from ragstone.types import RawFile, Written

pytestmark = pytest.mark.anyio
LIMIT_S = 30.0


async def test_a_job_that_ended_before_it_was_asked_for_is_not_waited_for(tmp_path: Path) -> None:
    """One of many files of an upload is done before its turn comes: no look at the time is needed."""

    def look_at_the_time() -> float:
        raise AssertionError("it waits")

    async with open_engine(load(tmp_path), HashEmbedder()) as engine:
        engine.worker.start(1)
        accepted = await engine.jobs.enqueue(IngestRequest(RawFile(b"A heron.", "a.md")))
        job = await engine.jobs.wait(accepted.job_id, Deadline.after(LIMIT_S))
        assert job.state == "ready"

        outcome = await engine.jobs.outcome(accepted, Deadline(0.0, 1.0, look_at_the_time))

    assert isinstance(outcome, Written)
