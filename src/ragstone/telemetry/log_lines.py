"""Where the lines of the log go: a stream, and a file that is rotated; in batches, unless they matter now."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Generic, TypeVar

T = TypeVar("T")
LineSink = Callable[[str], None]
"""Takes whole lines, each with its end."""
DELAY_S = 0.2
"""How long a line of level info may wait."""
AT_ONCE = 100
"""Lines between two chances for other threads."""
MOST_WAITING = 10_000
"""Entries that wait before whoever brings the next one empties the buffer."""


class Batches(Generic[T]):
    """Hands what comes to `take`, in the order in which it came; with `delay_s=0` each at once.

    What waits is made into lines by a thread, all in a row: that costs a quarter of making each where it came
    up, with the caches of the processor full of other things (November 2026).
    """

    def __init__(self, take: Callable[[Sequence[T]], None], delay_s: float = 0.0) -> None:
        self._take = take
        self._delay_s = delay_s
        self._waiting: deque[T] = deque()
        self._taking = threading.Lock()
        self._has_news = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, one: T, *, is_urgent: bool) -> None:
        """Take one; an urgent one, and all before it, have been handed on when this returns."""
        self._waiting.append(one)
        if is_urgent or not self._delay_s or len(self._waiting) >= MOST_WAITING:
            self.flush()
        elif not self._has_news.is_set():
            self._wake()

    def flush(self) -> None:
        """Hand on all that waits."""
        with self._taking:
            while self._waiting:
                count = min(len(self._waiting), AT_ONCE)
                self._take([self._waiting.popleft() for _ in range(count)])

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._go, name="log-lines", daemon=True)
            self._thread.start()
        self._has_news.set()

    def _go(self) -> None:
        while True:
            self._has_news.wait()
            time.sleep(self._delay_s)
            self._has_news.clear()
            self.flush()


def to_stderr(text: str) -> None:
    """The program's stderr as it is now; it may be exchanged, or gone."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(text)
        sys.stderr.flush()


class RotatingFile:
    """A file of at most `max_bytes`; a full one becomes `NAME.1`, that one `NAME.2`, up to `count`.

    For one process: two that rotate the same file would lose lines.
    """

    def __init__(self, path: Path, max_bytes: int, count: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._count = count
        self._file: IO[bytes] | None = None
        self._size = 0
        self._has_failed = False

    def __call__(self, text: str) -> None:
        """Append lines. What cannot be written is said once on stderr, and the program goes on."""
        lines = text.encode("utf-8", "backslashreplace")
        try:
            file = self._open()
            if self._size and self._size + len(lines) > self._max_bytes:
                file = self._rotated(file)
            file.write(lines)
            file.flush()
            self._size += len(lines)
            self._has_failed = False
        except OSError as error:
            if not self._has_failed:
                to_stderr(f"The log file {self._path} cannot be written: {error.strerror}.\n")
            self._has_failed = True

    def close(self) -> None:
        """Let the file go."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> IO[bytes]:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab")
            self._size = self._file.tell()
        return self._file

    def _rotated(self, full: IO[bytes]) -> IO[bytes]:
        full.close()
        self._file = None
        for number in range(self._count, 0, -1):
            older = self._path if number == 1 else self._path.with_name(f"{self._path.name}.{number - 1}")
            if older.exists():
                older.replace(self._path.with_name(f"{self._path.name}.{number}"))
        if not self._count:
            self._path.unlink()
        return self._open()
