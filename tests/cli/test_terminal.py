"""What a person sees who types the commands into a terminal."""

from __future__ import annotations

from pathlib import Path

from tests.requirements import verifies
from tests.support.process import run_in_terminal


@verifies("ING-24")
def test_a_terminal_shows_a_bar_a_line_for_each_file_and_a_summary(home: Path, tmp_path: Path) -> None:
    """The bar counts the files, each file has its line, and the exit code tells of the one that failed."""
    for number in range(3):
        (tmp_path / f"note{number}.md").write_text(f"The snipe drums, night {number}.", "utf-8")
    (tmp_path / "empty.md").write_text("", "utf-8")

    done = run_in_terminal("add", tmp_path, "-i", "*.md", home=home, columns=120)
    screen = done.stdout

    assert done.exit_code == 1
    assert "Adding" in screen and "4/4" in screen
    for number in range(3):
        assert f"note{number}.md" in screen
    assert "failed" in screen and "empty.md" in screen
    assert "3 added, 1 failed in collection 'default'." in screen
