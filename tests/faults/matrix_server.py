"""A real server whose every part can go wrong: models and Redis behind proxies, its home on a small disk."""

from __future__ import annotations

import asyncio
import ctypes
import json
import multiprocessing
import os
import socketserver
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import httpx2
import numpy as np

from ragstone.config import load
from ragstone.deadline import Deadline
from ragstone.entrypoints.http import serve
from ragstone.errors import EmbeddingFailed
from ragstone.evaluate.machine import process_tree
from ragstone.models.fakes import HashEmbedder
from ragstone.runtime.engine import open_engine
from ragstone.telemetry.logs import quiet_logs
from ragstone.types import Matrix, Vector
from tests.faults.proxy import FaultProxy, running_proxy
from tests.support.generator import running_generator
from tests.support.process import START_LIMIT_S, STOP_LIMIT_S
from tests.support.redis import running_redis
from tests.support.serving import handling

DISK = "12m"
LATE_S = 1.6
EMBEDDER_LIMIT_S = 2.5
CALL_LIMIT_S = 60.0
FLAGS: Mapping[str, str | int | float | bool | None] = {
    "server.port": 0,
    "index.writer_memory_mb": 15,
    "ingest.parse_timeout_s": 2.0,
    "ingest.retry_backoff_s": 0.1,
    "store.busy_timeout_s": 1.0,
    "search.leg_timeout_s": 1.2,
    "generator.model": "good",
    "generator.timeout_s": 1.2,
    "resilience.retry_first_s": 0.05,
    "resilience.breaker_failures": 5,
    "resilience.breaker_open_s": 0.5,
    "cache.redis_retry_s": 0.3,
    "cache.redis_timeout_s": 0.8,
    "telemetry.log_level": "error",
}
_CLONE_NEWUSER, _CLONE_NEWNS = 0x10000000, 0x00020000
_MS_PRIVATE = 0x44000  # MS_REC | MS_PRIVATE


class RemoteEmbedder(HashEmbedder):
    """Hashed words, computed by a server elsewhere: a line of texts there, a line of vectors back."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port

    async def embed_passages(self, texts: Sequence[str]) -> Matrix:
        """Asked for over the network.

        Raises:
            EmbeddingFailed: there is no answer, or none that can be read.
        """
        try:
            async with asyncio.timeout(EMBEDDER_LIMIT_S), self._connection() as (reader, writer):
                writer.write(json.dumps(list(texts)).encode() + b"\n")
                line = await reader.readline()
            return np.array(json.loads(line), np.float32).reshape(len(texts), self.dim)
        except (OSError, ValueError) as error:
            raise EmbeddingFailed(f"The remote embedder failed: {error!r}.") from error

    async def embed_query(self, text: str, deadline: Deadline) -> Vector:
        """Asked for over the network."""
        deadline.check("the query was embedded")
        vector: Vector = (await self.embed_passages([text]))[0]
        return vector

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=2**24)
        try:
            yield reader, writer
        finally:
            writer.close()


class _Embedding(socketserver.StreamRequestHandler):
    """Answers one line."""

    def handle(self) -> None:
        line = self.rfile.readline()
        if line.endswith(b"\n"):
            vectors = [HashEmbedder()._embed(text).tolist() for text in json.loads(line)]
            self.wfile.write(json.dumps(vectors).encode() + b"\n")


@dataclass
class Stage:
    """The server, and what can be done to it."""

    client: httpx2.Client
    pid: int
    home: Path
    proxies: Mapping[str, FaultProxy]
    locker: Connection
    """Runs statements on the database, in a process of its own."""
    is_disk_small: bool
    asked: int = 0

    @property
    def home_there(self) -> Path:
        """The home as the server's process sees it."""
        return Path(f"/proc/{self.pid}/root{self.home}")

    def ask(self) -> httpx2.Response:
        """A question that nobody asked before."""
        self.asked += 1
        return self.client.post("/v1/ask", json={"question": f"Where does heron {self.asked} wait?"})

    def add(self) -> httpx2.Response:
        """A text that nobody added before."""
        self.asked += 1
        return self.client.post("/v1/documents", json={"text": f"Heron {self.asked} waits by the river."})

    def upload(self, content: bytes | None = None, name: str = "page.html") -> httpx2.Response:
        """A file that the parser process reads."""
        self.asked += 1
        page = content or f"<html><body><p>Heron {self.asked} waits by the river.</p></body></html>".encode()
        file = {"file": (f"{self.asked}-{name}", page)}
        return self.client.post("/v1/documents", files=file, data={"wait_s": "30"})

    def parsers(self) -> list[int]:
        """The processes that parse."""
        return [pid for pid in process_tree(self.pid) if pid != self.pid]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Another process's write transaction, held open."""
        for statement in ("BEGIN IMMEDIATE", "ROLLBACK"):
            self.locker.send(statement)
            assert self.locker.poll(CALL_LIMIT_S)
            assert self.locker.recv() == statement
            if statement == "BEGIN IMMEDIATE":
                yield

    @contextmanager
    def full(self) -> Iterator[None]:
        """A disk without a byte left."""
        filler = self.home_there / "filler"
        with filler.open("wb", buffering=0) as file:
            for size in (2**16, 2**12, 1):
                with_room = True
                while with_room:
                    try:
                        file.write(b"x" * size)
                    except OSError:
                        with_room = False
        try:
            yield
        finally:
            filler.unlink()


@contextmanager
def running_stage(folder: Path) -> Iterator[Stage]:
    """Everything started, stopped at the end."""
    with ExitStack() as stack:
        generator = stack.enter_context(running_generator())
        redis = stack.enter_context(running_redis(folder / "redis"))
        ports = {
            "generator": int(generator.base_url.rpartition(":")[2].partition("/")[0]),
            "redis": redis.port,
            "embedder": stack.enter_context(handling(_Embedding)),
        }
        proxies = {name: stack.enter_context(running_proxy(port, LATE_S)) for name, port in ports.items()}
        home = folder / "home"
        home.mkdir()
        flags = {
            **FLAGS,
            "generator.base_url": f"http://127.0.0.1:{proxies['generator'].port}/v1",
            "cache.redis_url": f"redis://127.0.0.1:{proxies['redis'].port}/0",
        }
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.faults.matrix_server"])
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_serve, args=(home, flags, proxies["embedder"].port, sender))
        process.start()
        stack.callback(process.join, STOP_LIMIT_S)
        stack.callback(process.terminate)
        if not receiver.poll(START_LIMIT_S):
            raise TimeoutError(f"no server within {START_LIMIT_S:g} s")
        is_disk_small = bool(receiver.recv())
        if not receiver.poll(START_LIMIT_S):
            raise TimeoutError(f"no server within {START_LIMIT_S:g} s")
        client = stack.enter_context(
            httpx2.Client(base_url=receiver.recv(), timeout=CALL_LIMIT_S, trust_env=False)
        )
        locker, there = context.Pipe()
        locking = context.Process(target=_run_statements, args=(process.pid, home / "ragstone.db", there))
        locking.start()
        stack.callback(locking.join, STOP_LIMIT_S)
        stack.callback(locking.terminate)
        yield Stage(client, process.pid or 0, home, proxies, locker, is_disk_small)


def _serve(home: Path, flags: Mapping[str, str], embedder_port: int, sender: Connection) -> None:
    quiet_logs()
    sender.send(_mount_small_disk(home))
    serve.open_engine = partial(open_engine, embedder=RemoteEmbedder(embedder_port))  # type: ignore[attr-defined]
    asyncio.run(serve.serve(load(home, environ={}, flags=flags), sender.send))


def _run_statements(server_pid: int, path: Path, pipe: Connection) -> None:
    """Answer each statement when it is done; where the server sees another disk, from there."""
    libc = ctypes.CDLL(None, use_errno=True)
    for namespace in ("user", "mnt"):
        with Path(f"/proc/{server_pid}/ns/{namespace}").open("rb") as file:
            libc.setns(file.fileno(), 0)  # refused where it is our own already
    connection = sqlite3.connect(path, isolation_level=None, timeout=CALL_LIMIT_S)
    while True:
        statement = pipe.recv()
        connection.execute(statement)
        pipe.send(statement)


def _mount_small_disk(home: Path) -> bool:
    """A tmpfs of a few megabytes over `home`, for this process alone; False where the system refuses."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS) != 0:
        return False
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    if libc.mount(b"none", b"/", None, _MS_PRIVATE, None) != 0:
        return False
    options = f"size={DISK}".encode()
    return bool(libc.mount(b"tmpfs", str(home).encode(), b"tmpfs", 0, options) == 0)
