"""A process's private place under `home/index/`: the first numbered folder whose lock is free."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ragstone.errors import IndexFailed

SCHEMA = 1
"""Raise it when fields or analysis change: slots written before are rebuilt."""
MOST_SLOTS = 512


@dataclass(frozen=True, slots=True)
class Applied:
    """What the slot's files hold: every change up to `version` of the database with this `epoch`."""

    epoch: str
    version: int


class Slot:
    """A locked folder for one process's derived indexes."""

    def __init__(self, folder: Path, lock: IO[str], *, was_killed: bool) -> None:
        self.folder = folder
        self.was_killed = was_killed
        """Whether the process that held the slot before ended without releasing it."""
        self._lock = lock

    def collection_folder(self, collection_id: str) -> Path:
        """Where the files of one collection's index go."""
        return self.folder / collection_id

    def read_applied(self) -> Applied | None:
        """What the files hold; None when there are none, or they are of another schema."""
        try:
            state = json.loads((self.folder / "applied.json").read_text("utf-8"))
            if state["schema"] != SCHEMA:
                return None
            return Applied(str(state["epoch"]), int(state["version"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write_applied(self, applied: Applied) -> None:
        """Note what the files hold, after they do; lost on a crash it only makes work be done again."""
        state = {"schema": SCHEMA, "epoch": applied.epoch, "version": applied.version}
        fresh = self.folder / "applied.json.new"
        fresh.write_text(json.dumps(state), "utf-8")
        fresh.replace(self.folder / "applied.json")

    def forget_applied(self) -> None:
        """Before files are rebuilt: a crash in the middle must not leave half of them for whole."""
        (self.folder / "applied.json").unlink(missing_ok=True)

    def forget_collection(self, collection_id: str) -> None:
        """Remove the files of one collection's index."""
        shutil.rmtree(self.collection_folder(collection_id), ignore_errors=True)

    def clear(self) -> None:
        """Forget every file of the slot."""
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != "lock":
                path.unlink(missing_ok=True)

    def release(self) -> None:
        """Give the slot to whoever comes next."""
        self._lock.truncate(0)
        self._lock.close()


def take_slot(root: Path) -> Slot:
    """Lock the first free slot; a slot left by a dead process is free, its files are reused.

    Raises:
        IndexFailed: no slot can be made.
    """
    for number in range(MOST_SLOTS):
        folder = root / str(number)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = (folder / "lock").open("a+")
        except OSError as error:
            raise IndexFailed(f"The index folder {folder} cannot be used: {error}.") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        lock.seek(0)
        was_killed = lock.read() != ""
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        return Slot(folder, lock, was_killed=was_killed)
    raise IndexFailed(f"All {MOST_SLOTS} index slots under {root} are taken; stop some processes.")
