"""One home for the commands that only look, filled by `ragstone add` itself."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.fixtures.parsing.small_files import pdf
from tests.support.process import Finished, run_command

GUIDE = """# Library guide

## Opening hours

The library opens at nine.

## Lending

A book may be kept for three weeks.
"""


class Filled(NamedTuple):
    """A home, the folder it was filled from, and what `ragstone add` said."""

    home: Path
    texts: Path
    added: Finished


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """Good files, one that is empty, and some that the globs leave out."""
    folder = tmp_path_factory.mktemp("cli")
    texts = folder / "texts"
    (texts / "drafts").mkdir(parents=True)
    (texts / "guide.md").write_text(GUIDE, "utf-8")
    (texts / "atlas.pdf").write_bytes(pdf("Rivers run to the sea.", "The summit is 4810 metres high."))
    (texts / "notes.txt").write_text("Return the ladder to the cellar. See ISSUE-1234.\n", "utf-8")
    (texts / "empty.txt").write_text("", "utf-8")
    (texts / "drafts" / "draft.md").write_text("The library opens at midnight.\n", "utf-8")
    (texts / "code.py").write_text("print('left out')\n", "utf-8")
    globs = ["-i", "*.md", "-i", "*.pdf", "-i", "*.txt", "-x", "drafts/"]
    metadata = ["-m", "year=2024", "-m", "shelf=north"]
    added = run_command("add", texts, *globs, *metadata, home=folder / "home")
    return Filled(folder / "home", texts, added)
