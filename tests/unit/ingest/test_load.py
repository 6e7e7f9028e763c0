"""A walk finds what a person would take in, once, in order."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from ragstone.errors import FileTooLarge, PathNotFound
from ragstone.ingest.load import FoundFile, read, walk


def _write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def _names(folder: Path, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> list[str]:
    return [found.name for found in walk([folder], include, exclude)]


def test_a_folder_is_walked_in_order_without_what_is_hidden(tmp_path: Path) -> None:
    """Hidden files, version control and package folders are left out."""
    _write(tmp_path, "b.md", "a/c.md", ".env", ".git/config", "node_modules/x.js", "a/__pycache__/c.pyc")

    assert _names(tmp_path) == ["a/c.md", "b.md"]


def test_ignore_files_count_from_their_folder_downwards(tmp_path: Path) -> None:
    """Rules of an inner .gitignore do not reach out of it."""
    _write(tmp_path, "build/x.txt", "keep.log", "a/drop.log", "a/b/drop.log", "a/keep.txt")
    (tmp_path / ".gitignore").write_text("build/\n")
    (tmp_path / "a" / ".gitignore").write_text("*.log\n")

    assert _names(tmp_path) == ["a/keep.txt", "keep.log"]


def test_globs_choose_and_leave_out(tmp_path: Path) -> None:
    """In .gitignore's grammar."""
    _write(tmp_path, "a.md", "b.txt", "docs/c.md", "drafts/d.md")

    assert _names(tmp_path, include=["*.md"], exclude=["drafts/"]) == ["a.md", "docs/c.md"]


def test_a_file_named_itself_is_found_and_found_once(tmp_path: Path) -> None:
    """Whatever its name, and however often it is named."""
    _write(tmp_path, ".hidden.md")
    path = tmp_path / ".hidden.md"

    assert list(walk([path, str(path)], include=["*.txt"])) == [FoundFile(path, ".hidden.md")]


def test_links_make_no_loops_and_lead_nowhere_else(tmp_path: Path) -> None:
    """A loop ends; a link out of the folder is not followed."""
    _write(tmp_path, "in/a.md", "secret.md")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "out.md").symlink_to(tmp_path / "secret.md")
    (tmp_path / "in" / "gone.md").symlink_to(tmp_path / "in" / "nothing")

    assert _names(tmp_path / "in") == ["a.md"]


def test_a_missing_path_is_named_before_anything_is_read(tmp_path: Path) -> None:
    """Not after half of the work."""
    _write(tmp_path, "a.md")
    with pytest.raises(PathNotFound, match="nowhere"):
        next(walk([tmp_path, tmp_path / "nowhere"]))


def test_a_file_over_the_limit_is_refused_by_the_settings_name(tmp_path: Path) -> None:
    """At the limit it is read."""
    _write(tmp_path, "five5")
    found = FoundFile(tmp_path / "five5", "five5")

    assert read(found, 5).content == b"five5"
    with pytest.raises(FileTooLarge, match=r"5 bytes; ingest\.max_file_bytes allows 4"):
        read(found, 4)
    with pytest.raises(PathNotFound, match="cannot be read"):
        read(FoundFile(tmp_path / "gone", "gone"), 5)


def test_names_that_are_no_text_are_written_out(tmp_path: Path) -> None:
    """A file system takes any bytes; name and source show them, each file its own."""
    for byte in (b"\xe8", b"\xe9"):
        (tmp_path / os.fsdecode(b"caf" + byte + b".txt")).write_text("a")

    found = list(walk([tmp_path]))

    assert [file.name for file in found] == ["caf\\xe8.txt", "caf\\xe9.txt"]
    assert len({file.source.encode() for file in found}) == 2
    assert [read(file, 9).content for file in found] == [b"a", b"a"]
