"""The library as a guest in somebody's program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.process import COMMAND_LIMIT_S, environment

PROGRAM = """
from ragstone import Ragstone

with Ragstone() as rag:
    rag.add_text("The lamp is lit.")
    print(rag.ask("Is the lamp lit?").text)
"""


def test_the_library_prints_nothing_of_its_own(home: Path) -> None:
    """Only what the program prints is on stdout, and stderr stays empty."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=COMMAND_LIMIT_S,
        check=False,
        env=environment(home, None),
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
    assert "The lamp is lit." in done.stdout
