"""Files on their way in: folders of their own for processes, not for threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ragstone.store.incoming import Incoming, IncomingFile

ROUNDS, AT_ONCE = 50, 4


def test_the_first_files_may_come_at_once(tmp_path: Path) -> None:
    """They lie in one folder, and nothing is left of it."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in range(ROUNDS):
            incoming, start = Incoming(tmp_path), threading.Barrier(AT_ONCE)

            def receive(incoming: Incoming = incoming, start: threading.Barrier = start) -> IncomingFile:
                start.wait()
                return incoming.receive()

            files = [done.result() for done in [pool.submit(receive) for _ in range(AT_ONCE)]]
            folders = {file.path.parent for file in files}
            for file in files:
                file.close()
            incoming.close()

            assert len(folders) == 1
            assert list(tmp_path.iterdir()) == []


def test_what_the_dead_left_goes_and_what_the_living_have_stays(tmp_path: Path) -> None:
    """A lock tells them apart."""
    living, dead = Incoming(tmp_path), tmp_path / "dead"
    file = living.receive()
    dead.mkdir()
    (dead / "half").write_bytes(b"of a file")
    dead.with_suffix(".lock").touch()

    Incoming(tmp_path).remove_abandoned()

    assert not dead.exists() and not dead.with_suffix(".lock").exists()
    assert file.path.exists()
    file.close()
    living.close()
