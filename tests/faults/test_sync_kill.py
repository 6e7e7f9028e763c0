"""kill -9 in the middle of a sync; the next one brings the store to what the source holds."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from ragstone import Ragstone
from tests.support.process import run_command
from tests.support.watched import WatchedProcess

COUNT = 30


@pytest.mark.parametrize("stage", ["parse", "embed", "write", "index"])
def test_a_sync_that_was_killed_is_taken_up(home: Path, tmp_path: Path, stage: str) -> None:
    """Some documents are in, half of the files go before the next sync; it leaves the rest, once."""
    texts = tmp_path / "texts"
    texts.mkdir()
    for n in range(COUNT):
        (texts / f"{n}.md").write_text(f"The number of this text is {n}.")
    home.mkdir()
    (home / "sources.toml").write_text(f'[texts]\nkind = "folder"\npath = "{texts}"\n')
    environ = {"RAGSTONE_INGEST__ALLOWED_ROOTS": str(tmp_path), "RAGSTONE_INGEST__CONCURRENCY": "2"}
    process = WatchedProcess("sources", "sync", "texts", home=home, environ=environ)
    try:
        process.wait_for("index_commit_started")
        process.kill_at(stage)
        assert process.wait() != 0
    finally:
        process.process.kill()
    for n in range(0, COUNT, 2):
        (texts / f"{n}.md").unlink()

    _end_lease(home)
    synced = run_command("sources", "sync", "texts", "--force", "--json", home=home, environ=environ)

    assert synced.exit_code == 0, synced.stdout + synced.stderr
    with Ragstone(home) as rag:
        found = [document.source for document in rag.documents()]
    assert sorted(map(str, found)) == sorted(f"texts/{n}.md" for n in range(1, COUNT, 2))
    again = run_command("sources", "sync", "texts", "--json", home=home, environ=environ)
    runs = again.json["runs"]
    assert isinstance(runs, list) and runs[0]["counts"] == {"unchanged": COUNT // 2}
    checked = run_command("check", home=home)
    assert checked.exit_code == 0, checked.stdout


def _end_lease(home: Path) -> None:
    """What a minute of waiting would do."""
    with sqlite3.connect(home / "ragstone.db") as connection:
        connection.execute("UPDATE sources SET lease_until = '2000-01-01T00:00:00.000000+00:00'")
    connection.close()
