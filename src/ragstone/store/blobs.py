"""Originals of uploaded files, under `home/blobs/` by sha256; a file is there as long as a row names it."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ragstone.errors import PathNotFound, StoreFailed
from ragstone.store.incoming import IncomingFile, refused_by_disk


class Blobs:
    """Content-addressed files: the same bytes are kept once. All calls block; keep them off the loop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, sha256: str) -> Path:
        """Where the bytes with this hash lie or would lie."""
        return self._folder / sha256[:2] / sha256

    def put(self, content: bytes) -> str:
        """Keep the bytes durably; their sha256 in hex.

        Raises:
            StoreFailed: the disk refuses.
        """
        sha256 = hashlib.sha256(content).hexdigest()
        target = self.path(sha256)
        if target.exists() and target.stat().st_size == len(content):
            return sha256
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=target.parent, prefix=".new-")
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(target)
            _sync_folder(target.parent)
        except OSError as error:
            raise refused_by_disk(f"The original cannot be kept under {self._folder}", error) from error
        return sha256

    def keep(self, incoming: IncomingFile) -> str:
        """Give a received and sealed file its place; its sha256.

        Raises:
            StoreFailed: the disk refuses.
        """
        target = self.path(incoming.sha256)
        try:
            if not (target.exists() and target.stat().st_size == incoming.size_bytes):
                target.parent.mkdir(parents=True, exist_ok=True)
                incoming.path.replace(target)
                _sync_folder(target.parent)
        except OSError as error:
            raise refused_by_disk(f"The original cannot be kept under {self._folder}", error) from error
        return incoming.sha256

    def get(self, sha256: str) -> bytes:
        """The bytes with this hash.

        Raises:
            PathNotFound: they are gone.
            StoreFailed: the disk refuses.
        """
        try:
            return self.path(sha256).read_bytes()
        except FileNotFoundError as error:
            path = str(self.path(sha256))
            raise PathNotFound(f"The original {path} is gone; add the file again.", path=path) from error
        except OSError as error:
            raise StoreFailed(f"The original {sha256} cannot be read: {error}.") from error

    def remove(self, sha256: str) -> None:
        """Forget the bytes; nothing happens when they are not there."""
        self.path(sha256).unlink(missing_ok=True)

    def names(self) -> Iterator[str]:
        """The hashes of all files kept, complete ones only."""
        for path in sorted(self._folder.glob("??/*")):
            if not path.name.startswith("."):
                yield path.name

    def remove_unfinished(self) -> None:
        """Forget files that a killed process did not finish; call it while nobody can be writing one."""
        for path in self._folder.glob("??/.new-*"):
            path.unlink(missing_ok=True)

    def is_whole(self, sha256: str) -> bool:
        """Whether the bytes still have their hash."""
        path = self.path(sha256)
        return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def _sync_folder(folder: Path) -> None:
    """Make the name durable, too: a synced file without its name is lost in a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
