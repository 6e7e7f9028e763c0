"""A slot belongs to one process; what it says of its files is believed only when it is whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ragstone.errors import IndexFailed
from ragstone.index.slot import SCHEMA, Applied, take_slot

TAKE_AND_WAIT = """
import sys
from pathlib import Path
from ragstone.index.slot import take_slot
slot = take_slot(Path(sys.argv[1]))
print(slot.folder.name, flush=True)
sys.stdin.read()
"""


def test_each_opening_gets_a_slot_of_its_own(tmp_path: Path) -> None:
    """The first free number is taken; a released one is taken again with its files."""
    first, second = take_slot(tmp_path), take_slot(tmp_path)
    first.write_applied(Applied("epoch", 3))
    first.release()

    third = take_slot(tmp_path)

    assert [slot.folder.name for slot in (first, second, third)] == ["0", "1", "0"]
    assert third.read_applied() == Applied("epoch", 3)
    second.release()
    third.release()


def test_a_killed_process_frees_its_slot(tmp_path: Path) -> None:
    """While another process lives its slot is taken; killed, it leaves the slot to the next."""
    other = subprocess.Popen(
        [sys.executable, "-c", TAKE_AND_WAIT, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == "0"
        beside = take_slot(tmp_path)
        other.kill()
        other.wait(60)

        after = take_slot(tmp_path)

    assert (beside.folder.name, after.folder.name) == ("1", "0")
    beside.release()
    after.release()


@pytest.mark.parametrize(
    "state",
    [
        "",
        "{",
        "[]",
        '{"schema": 1}',
        f'{{"schema": {SCHEMA}, "epoch": "e", "version": "x"}}',
        f'{{"schema": {SCHEMA + 1}, "epoch": "e", "version": 3}}',
        "null",
    ],
)
def test_a_broken_or_foreign_note_is_not_believed(tmp_path: Path, state: str) -> None:
    """Half a file, another schema or other JSON means: nothing is known to be applied."""
    slot = take_slot(tmp_path)

    (slot.folder / "applied.json").write_text(state)

    assert slot.read_applied() is None
    slot.release()


def test_clearing_forgets_everything_but_the_lock(tmp_path: Path) -> None:
    """Files, folders and the note go; the slot stays taken."""
    slot = take_slot(tmp_path)
    slot.write_applied(Applied("e", 1))
    slot.collection_folder("c").mkdir()
    (slot.collection_folder("c") / "file").write_text("x")

    slot.clear()

    assert [path.name for path in slot.folder.iterdir()] == ["lock"]
    beside = take_slot(tmp_path)
    assert beside.folder.name == "1"
    beside.release()
    slot.release()


def test_a_folder_that_cannot_be_used_is_an_index_failure(tmp_path: Path) -> None:
    """A file in its place is named in the error."""
    (tmp_path / "index").write_text("")

    with pytest.raises(IndexFailed, match="index"):
        take_slot(tmp_path / "index")
