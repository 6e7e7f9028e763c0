"""One parser process, seen from the server: started, asked, timed, ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import struct
import sys
import tempfile
from pathlib import Path
from typing import cast

import anyio
import msgspec
from anyio import to_thread
from anyio.abc import ByteReceiveStream, ByteSendStream, Process
from anyio.streams.buffered import BufferedByteReceiveStream

import ragstone.errors
from ragstone.errors import DocumentRejected, NotReady
from ragstone.ingest.extraction import Answer, Begun, Reply, Request, Walls
from ragstone.ingest.limits import ParsingLimits
from ragstone.ingest.refusals import broken, over_limit

_LENGTH = struct.Struct(">Q")
_START_LIMIT_S = 60.0
_STOP_LIMIT_S = 5.0
_MAX_REPLY_BYTES = 256 * 2**20
_STDERR_TAIL_BYTES = 4096
_MEMORY_WORDS = (b"memory allocation of", b"MemoryError", b"bad_alloc", b"out of memory", b"Cannot allocate")


class ProcessEndedError(Exception):
    """The process went away before it had read the request, so the document is not to blame."""


class ParserProcess:
    """A child that parses one document at a time, in an empty folder, with an environment of its own."""

    def __init__(self, process: Process, folder: Path, limits: ParsingLimits) -> None:
        self._process = process
        self._folder = folder
        self._limits = limits
        self._requests = cast("ByteSendStream", process.stdin)
        self._replies = BufferedByteReceiveStream(cast("ByteReceiveStream", process.stdout))
        self._decoder = msgspec.msgpack.Decoder(Reply)
        self.walls = Walls("open", 0)
        """What it stands behind, as it said when it started."""
        self.documents = 0
        """How many documents it was given."""

    @classmethod
    async def start(cls, limits: ParsingLimits) -> ParserProcess:
        """A process behind its walls, ready for a document.

        Raises:
            NotReady: it did not come up; the message has its last words.
        """
        folder = Path(await to_thread.run_sync(tempfile.mkdtemp, None, "ragstone-parser-"))
        (folder / "empty").mkdir()
        with (folder / "stderr").open("wb") as stderr:
            process = await anyio.open_process(
                _command(limits),
                stderr=stderr,
                cwd=folder / "empty",
                env=_environment(folder / "empty"),
                start_new_session=True,  # Ctrl-C is for the server, which ends its children itself
            )
        child = cls(process, folder, limits)
        try:
            await child._stand_behind_walls()
        except BaseException:
            await child.kill()
            raise
        return child

    async def _stand_behind_walls(self) -> None:
        try:
            with anyio.fail_after(_START_LIMIT_S):
                first = await self._receive()
        except (anyio.IncompleteRead, anyio.EndOfStream) as error:
            lines = self._last_words().decode("utf-8", "replace").strip().splitlines()
            reason = lines[-1] if lines else "no reason given"
            raise NotReady(f"A parser process did not start: {reason}.") from error
        except TimeoutError as error:
            raise NotReady(f"A parser process did not start within {_START_LIMIT_S:g} s.") from error
        if isinstance(first, Walls):
            self.walls = first

    @property
    def is_running(self) -> bool:
        """Whether it has not ended, as far as this process was told."""
        return self._process.returncode is None

    async def parse(self, request: Request) -> Answer:
        """What the process makes of one file.

        Raises:
            ProcessEndedError: it was gone before it read the request.
            ParserLimitExceeded: the wall clock or the memory wall; the process must then be killed.
            BrokenDocument: the file crashed it.
        """
        self.documents += 1
        allowed_s = self._limits.timeout_s
        with anyio.move_on_after(allowed_s) as wall:
            started_s = anyio.current_time()
            await self._send(request)
            while True:
                reply = await self._receive_reply(request)
                if not isinstance(reply, Begun):
                    return reply
                allowed_s = self._limits.allowed_s(reply.pages, reply.ocr_pages)
                wall.deadline = started_s + allowed_s
        what = f"took longer than the {allowed_s:g} s that parsing it may take"
        raise over_limit(request.name, what, "ingest.parse_timeout_s")

    async def _send(self, request: Request) -> None:
        frame = await to_thread.run_sync(msgspec.msgpack.encode, request)
        try:
            await self._requests.send(_LENGTH.pack(len(frame)))
            await self._requests.send(frame)
            begun = await self._receive()
        except (anyio.BrokenResourceError, anyio.IncompleteRead, anyio.EndOfStream) as error:
            raise ProcessEndedError from error
        if not isinstance(begun, Begun):
            raise ProcessEndedError

    async def _receive_reply(self, request: Request) -> Begun | Answer:
        try:
            reply = await self._receive()
        except (anyio.IncompleteRead, anyio.EndOfStream, msgspec.DecodeError, ValueError) as error:
            raise await self._crash(request.name) from error
        if isinstance(reply, Walls):
            raise await self._crash(request.name)
        return reply

    async def _receive(self) -> Reply:
        size = _LENGTH.unpack(await self._replies.receive_exactly(_LENGTH.size))[0]
        if size > _MAX_REPLY_BYTES:
            raise ValueError(f"a reply of {size:,} bytes")
        frame = await self._replies.receive_exactly(size)
        return await to_thread.run_sync(self._decoder.decode, frame)

    async def _crash(self, name: str) -> DocumentRejected:
        """Why the process ended in the middle of a document, by its signal and last words."""
        with anyio.move_on_after(_STOP_LIMIT_S):
            await self._process.wait()
        code = self._process.returncode
        last_words = self._last_words()
        if code == -signal.SIGKILL or any(word in last_words for word in _MEMORY_WORDS):
            what = f"needs more memory than the {self._limits.memory_mb:,} MiB that parsing may take"
            return over_limit(name, what, "ingest.parse_memory_mb")
        if code == -signal.SIGXCPU:
            what = f"took more than {self._limits.max_timeout_s:g} s of processor time"
            return over_limit(name, what, "ingest.parse_timeout_s")
        how = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        return broken(name, f"it crashed the parser process ({how}); other documents are not affected")

    def _last_words(self) -> bytes:
        with (self._folder / "stderr").open("rb") as stderr:
            stderr.seek(max(0, os.fstat(stderr.fileno()).st_size - _STDERR_TAIL_BYTES))
            return stderr.read()

    async def kill(self) -> None:
        """End the process, even in a cancelled call, and remove its folder."""
        with anyio.move_on_after(_STOP_LIMIT_S, shield=True):
            if self.is_running:
                # The whole group: what the parser may have started goes with it.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.aclose()
            await to_thread.run_sync(shutil.rmtree, self._folder, True)


def _command(limits: ParsingLimits) -> list[str]:
    memory_bytes = limits.memory_mb * 2**20
    module = "ragstone.ingest.parse_worker"
    return [sys.executable, "-P", "-m", module, str(memory_bytes), str(os.getpid())]


def _environment(folder: Path) -> dict[str, str]:
    """Nothing of the server's: no keys, no proxies; one thread for every library that would take all."""
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "PYTHONPATH": str(Path(ragstone.errors.__file__).parents[1]),
        "MALLOC_ARENA_MAX": "2",
        "OMP_NUM_THREADS": "1",
        "OMP_THREAD_LIMIT": "1",
        "RAYON_NUM_THREADS": "1",
        "TOKIO_WORKER_THREADS": "1",
    }
