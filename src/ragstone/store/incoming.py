"""Files on their way in: on disk from their first byte, gone with the process that received them."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import IO
from uuid import uuid4

from ragstone.errors import StoreFailed, StoreFull

_EDGE_BYTES = 2**20


def refused_by_disk(happened: str, error: OSError) -> StoreFailed:
    """The error for what the disk refused: `StoreFull` when that is for want of room."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(f"{happened}: there is no room left ({error}); free some on that disk.")
    return StoreFailed(f"{happened}: {error}.")


class IncomingFile:
    """One file that is being received. All calls block; keep them off the loop."""

    def __init__(self, folder: Path) -> None:
        handle, name = tempfile.mkstemp(dir=folder)
        self.path = Path(name)
        self.size_bytes = 0
        self._file = os.fdopen(handle, "w+b")
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Of what was written so far, in hex."""
        return self._hash.hexdigest()

    def write(self, part: bytes) -> None:
        """Append.

        Raises:
            StoreFailed: the disk refuses.
        """
        try:
            self._file.write(part)
        except OSError as error:
            raise self._refused(error) from error
        self._hash.update(part)
        self.size_bytes += len(part)

    def read(self) -> bytes:
        """All of it, for a file that is only looked at.

        Raises:
            StoreFailed: the disk refuses what was written.
        """
        self._flush()
        self._file.seek(0)
        return self._file.read()

    def edges(self) -> bytes:
        """What tells the file's type: all of a small file, the first and the last mebibyte of a large one.

        Raises:
            StoreFailed: the disk refuses what was written.
        """
        self._flush()
        self._file.seek(0)
        head = self._file.read(2 * _EDGE_BYTES)
        if self.size_bytes <= 2 * _EDGE_BYTES:
            return head
        self._file.seek(-_EDGE_BYTES, os.SEEK_END)
        return head[:_EDGE_BYTES] + self._file.read()

    def seal(self) -> None:
        """Make the bytes durable; nothing is written after this.

        Raises:
            StoreFailed: the disk refuses.
        """
        self._flush()
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._refused(error) from error
        self._file.close()

    def close(self) -> None:
        """Let go; what `Blobs.keep` did not take is gone."""
        with contextlib.suppress(OSError):  # a full disk refuses what is dropped here anyway
            self._file.close()
        self.path.unlink(missing_ok=True)

    def _flush(self) -> None:
        try:
            self._file.flush()
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> StoreFailed:
        return refused_by_disk(f"The upload cannot be kept at {self.path}", error)


class Incoming:
    """The folder under `home/incoming/` where this process receives files, behind a lock of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own: Path | None = None
        self._lock: IO[bytes] | None = None
        self._taking = threading.Lock()

    def receive(self) -> IncomingFile:
        """A file to be written part by part; whoever asked for it closes it.

        Raises:
            StoreFailed: the disk refuses.
        """
        try:
            with self._taking:  # the first uploads may come at once
                own = self._own = self._own or self._take_folder()
            return IncomingFile(own)
        except OSError as error:
            raise refused_by_disk(f"Uploads cannot be received in {self._folder}", error) from error

    def close(self) -> None:
        """Remove the folder and let the lock go."""
        with self._taking:
            if self._own is None or self._lock is None:
                return
            shutil.rmtree(self._own, ignore_errors=True)
            Path(self._lock.name).unlink(missing_ok=True)
            self._lock.close()
            self._own = self._lock = None

    def remove_abandoned(self) -> None:
        """Forget what dead processes were receiving: nobody holds their lock."""
        for path in self._folder.glob("*.lock"):
            try:
                with path.open("rb") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path.with_suffix(""), ignore_errors=True)
                    path.unlink()
            except OSError:
                continue  # alive, or gone by now

    def _take_folder(self) -> Path:
        """A locked lock first, then the folder: one without the other is nobody's."""
        self._folder.mkdir(parents=True, exist_ok=True)
        while True:
            own = self._folder / uuid4().hex
            lock = own.with_suffix(".lock").open("wb")
            fcntl.flock(lock, fcntl.LOCK_EX)
            if Path(lock.name).exists():  # else somebody tidied up between the two lines
                own.mkdir()
                self._lock = lock
                return own
            lock.close()
