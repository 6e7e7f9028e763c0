"""Two servers on one home, and everything that may happen to them, in any order and at once."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import anyio
import httpx2

from ragstone.config import load
from ragstone.models.fakes import HashEmbedder
from ragstone.operate.check import Problem
from ragstone.runtime.engine import open_engine
from tests.faults.stateful.history import History, Place, Violation
from tests.faults.stateful.reads import Reader
from tests.faults.stateful.server import FLAGS, ServerProcess, start_server
from tests.faults.stateful.writes import Writer
from tests.support.process import COMMAND_LIMIT_S
from tests.support.waiting import wait_until

COLLECTIONS = ("default", "second")
SOURCES = ("a", "b", "c", "d")
THREADS = 6
TIDY_LIMIT_S = 20.0

Operation = Callable[[ServerProcess, Place, random.Random], None]


@dataclass(frozen=True, slots=True)
class Step:
    """One operation: what, through which server, on which place, and a seed for the rest."""

    name: str
    server: int
    collection: str
    source: str
    seed: int


@dataclass(slots=True)
class Tally:
    """What happened over a whole test, so that it can be asserted that it did."""

    examples: int = 0
    """Homes."""
    steps: Counter[str] = field(default_factory=Counter)
    overlaps: int = 0
    """Operations that began while another one went on."""
    cut_off: int = 0
    """Requests whose server was killed."""
    violations: list[AssertionError] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Operations."""
        return self.steps.total()


class World:
    """Two servers over one home, with the history of what was done through them."""

    def __init__(self, home: Path, tally: Tally, bug: str | None = None) -> None:
        self.home = home
        self.tally = tally
        self._bug = bug
        self.history = History(Place(collection, source) for collection in COLLECTIONS for source in SOURCES)
        self.writer, self.reader = Writer(self.history), Reader(self.history)
        self._operations = operations(self.writer, self.reader)
        self._running = 0
        self._killed: set[int] = set()
        self._pool = ThreadPoolExecutor(THREADS)
        self.servers = [start_server(home, bug), start_server(home, bug)]

    def run(self, *steps: Step) -> None:
        """Do these at once; what goes wrong in one is raised when all are done."""
        if len(steps) == 1:
            self._do(steps[0])
        else:
            self._join([self._pool.submit(self._do, step) for step in steps])
        self.history.forget()

    def crash(self, at: int, steps: Sequence[Step], *, loses_index: bool) -> None:
        """kill -9 of a server while steps are done, and another one in its place."""
        done = [self._pool.submit(self._do, step) for step in steps]
        self._killed.add(self.servers[at].process.pid or 0)
        self.servers[at].kill()
        self._join(done)
        self.servers[at].client.close()
        if loses_index:
            self._drop_free_slots()
        self.servers[at] = start_server(self.home, self._bug)
        self.tally.steps["crash, index lost" if loses_index else "crash"] += 1

    def restart(self, at: int) -> None:
        """A clean end of a server and another one in its place."""
        code = self.servers[at].stop()
        if code != 0:
            raise Violation(f"the server ended with {code}")
        self.servers[at] = start_server(self.home, self._bug)
        self.tally.steps["restart"] += 1

    def settle(self) -> None:
        """Every job has come to its end."""
        self.writer.settle(self.servers[0])
        self.tally.steps["settle"] += 1

    def repair(self) -> None:
        """`check --repair` by a third process's way in, beside the servers."""
        self.settle()
        self._agree(anyio.run(_repaired, self.home))
        self.tally.steps["repair"] += 1

    def finish(self) -> None:
        """All is found through both servers, rows and indexes agree, and no file is left of what went."""
        self.settle()
        for server in self.servers:
            self.reader.search_all(server, COLLECTIONS)
        for at in range(len(self.servers)):
            self.restart(at)
        for folder in ("checkpoints", "incoming"):
            self._await_empty(folder)
        for server in self.servers:
            self.reader.search_all(server, COLLECTIONS)
            if (code := server.stop()) != 0:
                raise Violation(f"the server ended with {code}")
        self._agree(anyio.run(_both_slots, self.home))

    def close(self) -> None:
        """End what still runs."""
        for server in self.servers:
            server.kill()
            server.client.close()
        self._pool.shutdown()

    def _do(self, step: Step) -> None:
        server = self.servers[step.server]
        place = self.history.places[step.collection, step.source]
        with self.history.lock:
            self.tally.steps[step.name] += 1
            self.tally.overlaps += self._running > 0
            self._running += 1
        try:
            self._operations[step.name](server, place, random.Random(step.seed))
        except httpx2.TransportError as error:
            if (server.process.pid or 0) not in self._killed:
                raise Violation(f"{step} was cut off: {error!r}") from error
            self.tally.cut_off += 1
        finally:
            with self.history.lock:
                self._running -= 1

    def _join(self, submitted: Sequence[Future[None]]) -> None:
        """Wait for all of them before the first failure is raised: nothing runs on."""
        wait(submitted, COMMAND_LIMIT_S)
        for done in submitted:
            done.result(0)

    def _agree(self, problems: Sequence[Problem]) -> None:
        if problems:
            raise Violation(f"check found {problems}")

    def _await_empty(self, folder: str) -> None:
        try:
            wait_until(lambda: None if self._files(folder) else True, TIDY_LIMIT_S)
        except TimeoutError as error:
            raise Violation(f"{self._files(folder)} are left") from error

    def _files(self, folder: str) -> list[Path]:
        return [path for path in (self.home / folder).rglob("*") if path.is_file()]

    def _drop_free_slots(self) -> None:
        """Lose the index files of a process that is gone: those of the other one are in use."""
        used = {name for server in self.servers if server.process.is_alive() for name in _slots_of(server)}
        for slot in (self.home / "index").iterdir():
            if slot.name in used:
                continue
            for path in slot.iterdir():  # the lock stays: it tells the next one that this one was killed
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name != "lock":
                    path.unlink()


def operations(writer: Writer, reader: Reader) -> Mapping[str, Operation]:
    """Every operation by its name."""
    return MappingProxyType(
        {
            "add": writer.add,
            "add by MCP": writer.add_by_mcp,
            "replace": writer.replace,
            "edit": writer.edit,
            "upload": writer.upload,
            "follow": writer.follow,
            "remove": writer.remove,
            "remove by source": writer.remove_by_source,
            "remove by metadata": writer.remove_by_metadata,
            "remove collection": writer.remove_collection,
            "search": reader.search,
            "search by words": reader.search_by_words,
            "search by MCP": reader.search_by_mcp,
            "ask": reader.ask,
            "read": reader.read,
            "read around": reader.read_around,
            "list": reader.list,
        }
    )


def _slots_of(server: ServerProcess) -> set[str]:
    """The slots whose lock a process holds open."""
    links = Path(f"/proc/{server.process.pid}/fd").iterdir()
    targets = [path.readlink() for path in links if path.is_symlink()]
    return {target.parent.name for target in targets if target.name == "lock"}


async def _repaired(home: Path) -> Sequence[Problem]:
    async with open_engine(load(home, environ={}, flags=FLAGS), HashEmbedder()) as engine:
        await engine.checker.repair()
        return (await engine.checker.check()).problems


async def _both_slots(home: Path) -> Sequence[Problem]:
    """What is wrong with the files that the two servers left, each opened as its successor would."""
    loaded = load(home, environ={}, flags=FLAGS)
    async with open_engine(loaded, HashEmbedder()) as first, open_engine(loaded, HashEmbedder()) as second:
        return [problem for engine in (first, second) for problem in (await engine.checker.check()).problems]
