"""The home folder: where everything lies, its format version, and the running server's card."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from ragstone.errors import HomeMismatch

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Home:
    """The layout of one home folder."""

    folder: Path

    @property
    def database(self) -> Path:
        """The truth."""
        return self.folder / "ragstone.db"

    @property
    def blobs(self) -> Path:
        """Originals of uploads."""
        return self.folder / "blobs"

    @property
    def incoming(self) -> Path:
        """Uploads that are being received."""
        return self.folder / "incoming"

    @property
    def checkpoints(self) -> Path:
        """What unfinished jobs have done already."""
        return self.folder / "checkpoints"

    @property
    def index(self) -> Path:
        """Derived indexes, a numbered slot per process."""
        return self.folder / "index"

    @property
    def catalogue(self) -> Path:
        """Names the sources of documents."""
        return self.folder / "sources.toml"

    @property
    def clones(self) -> Path:
        """Copies of git repositories; may be deleted, they are fetched again."""
        return self.folder / "clones"

    @property
    def cache(self) -> Path:
        """Cached entries; may be deleted at any time."""
        return self.folder / "cache.db"

    @property
    def log(self) -> Path:
        """What was asked and what went wrong; see docs/analytics.md."""
        return self.folder / "log.db"

    @property
    def server_card(self) -> Path:
        """Address and process of the running server."""
        return self.folder / "server.json"


def open_home(folder: Path) -> Home:
    """The home at `folder`, made when it is not there.

    Raises:
        HomeMismatch: it cannot be used, or another format was written there.
    """
    home = Home(folder)
    marker = folder / "format"
    try:
        # Documents lie there: a new home is its owner's alone; one that is there stays as it is.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if marker.exists():
            found = marker.read_text("ascii").strip()
        else:
            found = str(FORMAT)
            # In one piece: a process that opens the same home now must not read an empty file.
            fresh = folder / f"format.{os.getpid()}"
            fresh.write_text(f"{FORMAT}\n", "ascii")
            fresh.replace(marker)
    except (OSError, UnicodeDecodeError) as error:
        raise HomeMismatch(
            f"The home folder {folder} cannot be used: {error}. Choose another with --home."
        ) from error
    if found != str(FORMAT):
        raise HomeMismatch(
            f"The home folder {folder} has format {found!r}, this version reads {FORMAT}; "
            "upgrade Ragstone or choose another with --home."
        )
    return home


def write_server_card(home: Home, url: str) -> None:
    """Note where the server of this home listens, for the CLI."""
    fresh = home.server_card.with_suffix(".new")
    fresh.write_text(json.dumps({"url": url, "pid": os.getpid()}), "utf-8")
    fresh.replace(home.server_card)


def read_server_url(home: Home) -> str | None:
    """The address in the card of a server whose process is alive."""
    try:
        card = json.loads(home.server_card.read_text("utf-8"))
        os.kill(int(card["pid"]), 0)
        return str(card["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove_server_card(home: Home) -> None:
    """Forget the card when it is this process's own."""
    try:
        if json.loads(home.server_card.read_text("utf-8"))["pid"] == os.getpid():
            home.server_card.unlink()
    except (OSError, ValueError, KeyError, TypeError):
        return
