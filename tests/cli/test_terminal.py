"""What a person sees who types the commands into a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

from tests.requirements import verifies
from tests.support.process import COMMAND, COMMAND_LIMIT_S, environment


@verifies("ING-24")
def test_a_terminal_shows_a_bar_a_line_for_each_file_and_a_summary(home: Path, tmp_path: Path) -> None:
    """The bar counts the files, each file has its line, and the exit code tells of the one that failed."""
    for number in range(3):
        (tmp_path / f"note{number}.md").write_text(f"The snipe drums, night {number}.", "utf-8")
    (tmp_path / "empty.md").write_text("", "utf-8")

    exit_code, screen = run_in_terminal("add", str(tmp_path), "-i", "*.md", home=home)

    assert exit_code == 1
    assert "Adding" in screen and "4/4" in screen
    for number in range(3):
        assert f"note{number}.md" in screen
    assert "failed" in screen and "empty.md" in screen
    assert "3 added, 1 failed in collection 'default'." in screen


def run_in_terminal(*words: str, home: Path) -> tuple[int, str]:
    """The exit code of a command whose output is a terminal, and all that it wrote there."""
    ours, theirs = pty.openpty()
    shown = {"TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
    with subprocess.Popen(
        [*COMMAND, *words], stdin=theirs, stdout=theirs, stderr=theirs, env=environment(home, shown)
    ) as process:
        os.close(theirs)
        screen = b""
        while part := _read(ours):
            screen += part
        os.close(ours)
        return process.wait(COMMAND_LIMIT_S), screen.decode("utf-8", "replace")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux's way to say that nobody has the other end open any more
        return b""
