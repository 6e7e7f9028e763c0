"""A process with an engine of its own on the common home, and several clients at work on it."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from ragstone.config import load
from ragstone.models.fakes import HashEmbedder, QuotingGenerator
from ragstone.runtime.engine import open_engine
from ragstone.telemetry.logs import quiet_logs
from tests.faults.freshness.bugs import BUGS
from tests.faults.freshness.client import Client
from tests.faults.freshness.records import Log
from tests.faults.freshness.shared_tier import SharedTier
from tests.faults.stateful.server import Flags
from tests.support.process import STOP_LIMIT_S

FLAGS: Flags = {
    "ingest.chunk_max_tokens": 16,
    "index.writer_memory_mb": 15,
    "generator.model": "quoting",  # part of the recipe: the server on the same home has none
    "answer.context_tokens": 4_000,
}
CLIENTS = 6
SERIALS = 1_000_000
"""Numbers of writes and generations that are one process's own."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a process is to do."""

    home: Path
    log: Path
    number: int
    """Of the process, from 1."""
    operations: int
    write_share: float
    flags: Flags
    tier: Path | None = None
    bug: str | None = None


@dataclass(frozen=True, slots=True)
class Worker:
    """A process at work."""

    job: Job
    process: BaseProcess

    def kill(self) -> None:
        """kill -9, and wait until nothing of it is left."""
        self.process.kill()
        self.process.join(STOP_LIMIT_S)

    @property
    def has_failed(self) -> bool:
        """Whether it ended by an error of its own."""
        return self.process.exitcode not in (None, 0, -9)


def start_worker(job: Job) -> Worker:
    """A process that ends by itself when its operations are done."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "tests.faults.stateful.server"])
    process = context.Process(target=_work, args=(job,))
    process.start()
    return Worker(job, process)


def _work(job: Job) -> None:
    quiet_logs()
    if job.bug is not None:
        BUGS[job.bug]()
    asyncio.run(_run(job))


async def _run(job: Job) -> None:
    begin = job.number * SERIALS
    tier = None if job.tier is None else SharedTier(job.tier)
    loaded = load(job.home, environ={}, flags={**FLAGS, **job.flags})
    generator = QuotingGenerator(f"made{job.number}x")
    left, serials = itertools.count(job.operations, -1), itertools.count(begin)
    with Log(job.log) as log:
        async with (
            open_engine(loaded, HashEmbedder(), generator, tier) as engine,
            asyncio.TaskGroup() as group,
        ):
            for number in range(CLIENTS):
                client = Client(engine, log, job.number, number, serials)
                group.create_task(client.work(lambda: next(left) > 0, job.write_share))
