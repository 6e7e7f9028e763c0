"""The home folder: made once, refused when it is another's, and the card of its server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ragstone.errors import HomeMismatch
from ragstone.home import FORMAT, Home, open_home, read_server_url, remove_server_card, write_server_card


def test_a_home_is_made_and_opened_again(home: Path) -> None:
    """Its format is noted at the first opening; everything lies below it."""
    made = open_home(home)

    assert open_home(home) == made
    assert (home / "format").read_text() == f"{FORMAT}\n"
    assert {made.database.parent, made.blobs.parent, made.index.parent, made.server_card.parent} == {home}


@pytest.mark.parametrize("content", [b"2\n", b"", b"\xff", b"one"])
def test_another_format_is_refused(home: Path, content: bytes) -> None:
    """What another version wrote is left alone."""
    open_home(home)
    (home / "format").write_bytes(content)

    with pytest.raises(HomeMismatch, match="--home"):
        open_home(home)

    assert (home / "format").read_bytes() == content


def test_a_home_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    """A file in its place is named."""
    (tmp_path / "home").write_text("")

    with pytest.raises(HomeMismatch, match="home cannot be used"):
        open_home(tmp_path / "home")


def test_the_card_of_a_living_server_gives_its_address(home: Path) -> None:
    """Written by a process that lives, it is believed; removed, it is gone."""
    opened = open_home(home)
    write_server_card(opened, "http://127.0.0.1:1")
    assert read_server_url(opened) == "http://127.0.0.1:1"

    remove_server_card(opened)

    assert read_server_url(opened) is None
    assert not opened.server_card.exists()


def test_the_card_of_a_dead_server_is_not_believed(home: Path) -> None:
    """A process that ended without taking its card away is no server."""
    opened = open_home(home)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(60)

    put_card(opened, ended.pid)

    assert read_server_url(opened) is None


@pytest.mark.parametrize("card", ["", "{", "[]", '{"pid": "x"}', '{"url": "u"}', "7"])
def test_a_broken_card_is_not_believed(home: Path, card: str) -> None:
    """Half a file is no server, and removing it does no harm."""
    opened = open_home(home)
    opened.server_card.write_text(card)

    assert read_server_url(opened) is None
    remove_server_card(opened)


def test_nobody_removes_the_card_of_another_process(home: Path) -> None:
    """A server that ends leaves the card of its successor."""
    opened = open_home(home)
    put_card(opened, os.getppid())

    remove_server_card(opened)

    assert opened.server_card.exists()


def put_card(home: Home, pid: int) -> None:
    """The card of some process."""
    home.server_card.write_text(json.dumps({"url": "http://127.0.0.1:1", "pid": pid}))


def test_a_new_home_is_its_owners_alone(tmp_path: Path) -> None:
    """Others may not read what lies there; a folder that was there keeps its permissions."""
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    shared.chmod(0o755)

    open_home(tmp_path / "new")
    open_home(shared)

    assert (tmp_path / "new").stat().st_mode & 0o077 == 0
    assert shared.stat().st_mode & 0o777 == 0o755
