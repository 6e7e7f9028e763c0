"""The catalogue says exactly what it means, or which key is wrong and what was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragstone.errors import InvalidSetting, SourceNotFound
from ragstone.ingest.sources.catalogue import FolderEntry, GitEntry, WebEntry, read_catalogue

FULL = """
[handbook]
kind = "folder"
path = "/srv/handbook"
collection = "people"
metadata = { team = "people", year = 2024 }
include = ["*.md"]
watch = true

[manual]
kind = "web"
url = "https://example.org/manual/"
depth = 2
schedule = "1d"

[code]
kind = "git"
url = "https://example.org/x.git"
branch = "release/1.0"
paths = ["docs"]
schedule = "15m"
"""


def test_a_catalogue_is_read(tmp_path: Path) -> None:
    """Each kind with its keys; schedules are seconds; no file is an empty catalogue."""
    (tmp_path / "sources.toml").write_text(FULL)

    entries = read_catalogue(tmp_path / "sources.toml").entries

    handbook, manual, code = entries.values()
    assert isinstance(handbook, FolderEntry) and handbook.watch and handbook.metadata["year"] == 2024
    assert isinstance(manual, WebEntry) and (manual.depth, manual.schedule) == (2, 86_400)
    assert isinstance(code, GitEntry) and (code.branch, code.schedule) == ("release/1.0", 900)
    assert read_catalogue(tmp_path / "missing.toml").entries == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[a]\nkind = 'folder'\npaht = '/x'", r"no key 'paht'\. Did you mean 'path'\?"),
        ("[a]\nkind = 'web'\nurl = 'https://x'\nwatch = true", "a web source has no key 'watch'"),
        ("[a]\nkind = 'folder'", "the key 'path' is missing"),
        ("[a]\nkind = 'ftp'", "kind is 'ftp'; there are folder, web, git"),
        ("[a]\npath = '/x'", "kind is None"),
        ("[a]\nkind = 'folder'\npath = '/x'\nschedule = 'daily'", "schedule is 'daily'.*15m"),
        ("[a]\nkind = 'folder'\npath = '/x'\nschedule = '1s'", "every 10 s at most"),
        ("[a]\nkind = 'folder'\npath = '/x'\nname = 'b'", "no key 'name'"),
        ("[A-Z]\nkind = 'folder'\npath = '/x'", "lower-case letters"),
        ("[a]\nkind = 'folder'\npath = '/x'\ncollection = 'No!'", "collection is 'No!'"),
        ("[a]\nkind = 'git'\nurl = 'https://x/y'\nbranch = '--upload-pack=x'", "branch is"),
        ("a = 1", "'a' stands outside a source"),
        ("[a", "cannot be read as TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    """The file, the source, the key, the value and the nearest known key."""
    (tmp_path / "sources.toml").write_text(text)

    with pytest.raises(InvalidSetting, match=said) as failure:
        read_catalogue(tmp_path / "sources.toml")

    assert "sources.toml" in failure.value.message


def test_an_unknown_source_is_not_found_among_those_there_are(tmp_path: Path) -> None:
    """The names are in the message."""
    (tmp_path / "sources.toml").write_text(FULL)

    with pytest.raises(SourceNotFound, match="handbook, manual, code"):
        read_catalogue(tmp_path / "sources.toml").get("nope")
