"""One home, several processes at work on it, kills among them, and everything that they noted."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ragstone.config import load
from ragstone.deadline import Deadline
from ragstone.ingest.request import IngestRequest, inline_file
from ragstone.models.fakes import HashEmbedder, QuotingGenerator
from ragstone.runtime.engine import open_engine
from ragstone.telemetry.logs import quiet_logs
from ragstone.types import Principal, TenantId
from tests.faults.freshness.checker import Checker, Place, States, Write
from tests.faults.freshness.door import DoorClient
from tests.faults.freshness.records import Begun, Ended, Log, Lost, Read, moment, read_log
from tests.faults.freshness.texts import COLLECTIONS, HANDBOOK, TENANTS
from tests.faults.freshness.worker import FLAGS, SERIALS, Job, Worker, start_worker
from tests.faults.stateful.server import Flags, start_server
from tests.support.waiting import wait_until

PROCESSES = 2
DOOR_CLIENTS = 2
ROUND_LIMIT_S = 3_600.0 if os.environ.get("RAGSTONE_PROFILE") == "nightly" else 280.0
"""Twenty thousand operations take minutes on a machine that does something else, too."""
SETUP_LIMIT_S = 60.0
HITS = ("hit", "shared", "evidence")


@dataclass(frozen=True, slots=True)
class Scenario:
    """How the processes are set up."""

    write_share: float = 0.03
    flags: Flags = field(default_factory=dict)
    has_tier: bool = False
    has_door: bool = False
    bug: str | None = None


@dataclass(slots=True)
class Tally:
    """What was checked, so that it can be asserted that it was not nothing."""

    reads: Counter[str] = field(default_factory=Counter)
    """By kind."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """By `cache`."""
    writes: int = 0
    lost: int = 0
    """Writes that a kill cut off."""
    kills: int = 0
    through_door: int = 0
    """Responses of the server."""
    overlapping: int = 0
    """Reads during which a write to one of their collections was under way."""
    versions: set[int] = field(default_factory=set)
    """That reads were answered at."""

    @property
    def total(self) -> int:
        """Responses and writes."""
        return self.reads.total() + self.writes

    @property
    def figures(self) -> str:
        """In a line."""
        return (
            f"{self.total} operations, {self.writes} writes ({self.lost} cut off by {self.kills} kills), "
            f"{self.hit_share:.0%} hits of {dict(self.outcomes)}, {self.overlapping} reads beside a write, "
            f"{len(self.versions)} versions, {self.through_door} responses over HTTP"
        )

    @property
    def hit_share(self) -> float:
        """Share of the responses that a cache gave."""
        return sum(self.outcomes[name] for name in HITS) / max(1, self.outcomes.total())


class World:
    """A home with two tenants, and the processes that work on it, a phase at a time."""

    def __init__(self, folder: Path, scenario: Scenario) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.tally = Tally()
        self.states: States = {}
        self._scenario = scenario
        self._begun = 0
        quiet_logs()
        asyncio.run(self._set_up())

    def work(self, operations: int, kills: int = 0) -> None:
        """Processes do so many operations, of which kills cut some off; then all responses are checked.

        With a door, clients of a server on the same home work as long as the processes do.

        Raises:
            Violation: a response that must not have been given.
        """
        share = operations // PROCESSES
        workers = [self._start(share) for _ in range(PROCESSES)]
        logs = [worker.job.log for worker in workers]
        with self._door() as clients:
            for kill in range(kills):
                at = kill % PROCESSES
                self._await_records(workers[at], workers[at].job.operations // (kills // PROCESSES + 2))
                left = workers[at].job.operations - self._kill(workers[at])
                workers[at] = self._start(max(1, left))
                logs.append(workers[at].job.log)
            self._join(workers)
        checker = Checker(self.states)
        checker.take(record for log in logs for record in read_log(log))
        checker.take(record for client in clients for record in client.records)
        self.states = checker.check()
        self._count(checker)
        for log in logs:
            log.unlink()
        self.tally.through_door += sum(
            isinstance(record, Read) for client in clients for record in client.records
        )

    def back_up(self) -> Path:
        """A copy of the database, taken while no process is at work."""
        path = self.folder / "backup.db"
        with closing(sqlite3.connect(self._database)) as source, closing(sqlite3.connect(path)) as copy:
            source.backup(copy)
        return path

    def restore(self, backup: Path, states: States) -> None:
        """The database is what it was: versions run again, in a new epoch."""
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self._database}{suffix}").unlink(missing_ok=True)
        with closing(sqlite3.connect(backup)) as source, closing(sqlite3.connect(self._database)) as copy:
            source.backup(copy)
            copy.execute("UPDATE meta SET value = 'restored' WHERE name = 'epoch'")
            copy.commit()
        self.states = states

    @contextmanager
    def _door(self) -> Iterator[Sequence[DoorClient]]:
        """Clients of a server, at work in threads; what goes wrong in one is raised at the end."""
        if not self._scenario.has_door:
            yield ()
            return
        is_over = threading.Event()
        server = start_server(self.home, flags=self._scenario.flags)
        clients = []
        for _ in range(DOOR_CLIENTS):
            self._begun += 1
            clients.append(DoorClient(server.client, self._begun, self._begun * SERIALS))
        with ThreadPoolExecutor(DOOR_CLIENTS) as pool:
            done = [pool.submit(client.work, is_over.is_set) for client in clients]
            try:
                yield clients
            finally:
                is_over.set()
                wait(done, ROUND_LIMIT_S)
                code = server.stop()
        for one in done:
            one.result(0)
        assert code == 0, f"the server ended with {code}"

    @property
    def _database(self) -> Path:
        return self.home / "ragstone.db"

    async def _set_up(self) -> None:
        loaded = load(self.home, environ={}, flags={**FLAGS, **self._scenario.flags})
        async with open_engine(loaded, HashEmbedder(), QuotingGenerator()) as engine:
            for tenant in TENANTS:
                for collection in COLLECTIONS:
                    handbook = IngestRequest(
                        inline_file(HANDBOOK, len(HANDBOOK)),
                        collection,
                        title="The handbook",
                        source="handbook",
                        principal=Principal(TenantId(tenant)),
                    )
                    await engine.documents.add(handbook, Deadline.after(SETUP_LIMIT_S))

    def _start(self, operations: int) -> Worker:
        self._begun += 1
        log = self.folder / f"{self._begun}.log"
        scenario = self._scenario
        tier = self.folder / "tier.db" if scenario.has_tier else None
        job = Job(
            self.home,
            log,
            self._begun,
            operations,
            scenario.write_share,
            scenario.flags,
            tier,
            scenario.bug,
        )
        return start_worker(job)

    def _await_records(self, worker: Worker, count: int) -> None:
        """Return when a process has noted so much and a write of its is under way, or it has ended."""

        def look() -> bool | None:
            if worker.process.exitcode is not None:
                return True
            noted = worker.job.log.read_bytes() if worker.job.log.exists() else b""
            begun, ended = noted.count(b'["Begun"'), noted.count(b'["Ended"') + noted.count(b'["Lost"')
            return True if noted.count(b"\n") >= count and begun > ended else None

        wait_until(look, ROUND_LIMIT_S)

    def _kill(self, worker: Worker) -> int:
        """kill -9; how many operations were done. What is not acknowledged now may have happened or not."""
        worker.kill()
        self.tally.kills += 1
        records = list(read_log(worker.job.log))
        ended = {record.write for record in records if isinstance(record, Ended | Lost)}
        cut_off = [record for record in records if isinstance(record, Begun) and record.write not in ended]
        with worker.job.log.open("ab") as file:
            tail = worker.job.log.read_bytes().rpartition(b"\n")[2]
            file.truncate(file.tell() - len(tail))
        self._note_lost(worker, cut_off)
        self.tally.lost += len(cut_off)
        return sum(1 for record in records if isinstance(record, Read | Ended))

    def _note_lost(self, worker: Worker, cut_off: Sequence[Begun]) -> None:
        with Log(worker.job.log) as log:
            for record in cut_off:
                log.note(Lost(record.write, moment(), "killed"))

    def _join(self, workers: Sequence[Worker]) -> None:
        for worker in workers:
            worker.process.join(ROUND_LIMIT_S)
            assert worker.process.exitcode == 0, f"process {worker.job.number}: {worker.process.exitcode}"

    def _count(self, checker: Checker) -> None:
        for read in checker.reads:
            self.tally.reads[read.kind] += 1
            self.tally.outcomes[read.cache] += 1
            self.tally.versions.add(read.version)
        self.tally.writes += len(checker.writes)
        self.tally.overlapping += overlapping(checker.reads, checker.writes)


def overlapping(reads: Sequence[Read], writes: Sequence[tuple[Place, Write]]) -> int:
    """Reads during which a write to one of their collections was under way."""
    by_begin = sorted(writes, key=lambda found: found[1].begun)
    longest = max((min(write.ended, write.begun + 10**10) - write.begun for _, write in writes), default=0)
    begins = [write.begun for _, write in by_begin]
    found = 0
    for read in reads:
        low = bisect_left(begins, read.sent - longest)
        high = bisect_left(begins, read.ended)
        found += any(
            write.ended > read.sent and place.tenant == read.tenant and place.collection in read.collections
            for place, write in by_begin[low:high]
        )
    return found
