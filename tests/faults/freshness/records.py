"""What every client notes of what it did: one line a record, written at once, so that kill -9 loses none."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import msgspec

Kind = Literal["search", "ask", "stream"]


class Begun(msgspec.Struct, tag=True, frozen=True, array_like=True):
    """A write is about to be sent: `token` is what the place will hold, None when it is emptied."""

    write: int
    at: int
    place: str
    """`{tenant}/{collection}/{source}`."""
    token: str | None


class Ended(msgspec.Struct, tag=True, frozen=True, array_like=True):
    """A write came back: with the version that it made, or None when it changed nothing."""

    write: int
    at: int
    version: int | None


class Lost(msgspec.Struct, tag=True, frozen=True, array_like=True):
    """A write failed, or its process was killed: it happened before this moment or never will."""

    write: int
    at: int
    reason: str


class Read(msgspec.Struct, tag=True, frozen=True, array_like=True):
    """A response to a question. Times are nanoseconds of the one monotonic clock of the machine."""

    kind: Kind
    process: int
    sent: int
    ended: int
    tenant: str
    groups: tuple[str, ...] | None
    collections: tuple[str, ...]
    question: str
    finds_all: bool
    """Whether every text that the reader may see must be among the hits."""
    version: int
    cache: str
    degraded: tuple[str, ...]
    shown: tuple[str, ...]
    """Tokens in the hits."""
    said: tuple[str, ...] = ()
    """Tokens in the answer and its quotes."""
    generation: str | None = None
    """The name that the generator gave its text."""
    text: str = ""
    """A digest of the text of an answer and of what it quotes."""
    whole: str = ""
    """A digest of all that a repetition must repeat: citations with their ids, and events of a stream."""
    faults: tuple[str, ...] = ()
    """What does not fit together within the response itself."""


Record = Begun | Ended | Lost | Read
_DECODER = msgspec.json.Decoder(Record)


def moment() -> int:
    """Now, on the clock that all processes of the machine share."""
    return time.monotonic_ns()


class Log:
    """A file that records are appended to."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._encoder = msgspec.json.Encoder()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def note(self, record: Record) -> None:
        """Append a record; it outlives this process from here on."""
        os.write(self._file, self._encoder.encode(record) + b"\n")


def read_log(path: Path) -> Iterator[Record]:
    """The records of a file, without one that was cut off at its end."""
    for line in path.read_bytes().split(b"\n")[:-1] if path.exists() else ():
        yield _DECODER.decode(line)
