"""The catalogue: `sources.toml` in the home names the sources; unknown keys are refused."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from ragstone.errors import InvalidSetting, SourceNotFound, nearest_hint

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
_SCHEDULE = re.compile(r"(\d{1,6})([smhd])\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_SHORTEST_S = 10


def _seconds(value: object) -> object:
    """Seconds of "15m", "1h" and the like."""
    found = _SCHEDULE.match(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('write a number and s, m, h or d, such as "15m", "1h" or "1d"')
    seconds = int(found[1]) * _SECONDS[found[2]]
    if seconds < _SHORTEST_S:
        raise ValueError(f"a source is synced every {_SHORTEST_S} s at most")
    return seconds


class Entry(BaseModel):
    """What all sources have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    collection: str = Field("default", pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    schedule: Annotated[int | None, BeforeValidator(_seconds)] = None
    """Seconds between two syncs; None for syncs by hand only."""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @property
    def location(self) -> str:
        """Where it is, for people."""
        return ""

    @property
    def digest(self) -> str:
        """Of what holds for every document: when it changes, each one is looked at again."""
        held = json.dumps([self.collection, self.metadata], sort_keys=True)
        return hashlib.sha256(held.encode()).hexdigest()


class FolderEntry(Entry):
    """Files below a folder."""

    kind: Literal["folder"] = "folder"
    path: Path
    watch: bool = False

    @property
    def location(self) -> str:
        """Its path."""
        return str(self.path)


class WebEntry(Entry):
    """A page, and the pages of its site that it leads to."""

    kind: Literal["web"] = "web"
    url: str
    depth: int = Field(3, ge=0, le=50)
    """Clicks away from the first page; 0 takes that page alone."""
    max_pages: int = Field(500, ge=1, le=100_000)
    documents: bool = False
    """Whether linked PDF and Office files and the like are taken in, too."""

    @property
    def location(self) -> str:
        """Its first page."""
        return self.url


class GitEntry(Entry):
    """Files of a git repository."""

    kind: Literal["git"] = "git"
    url: str
    branch: str | None = Field(None, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]{0,200}$")
    """A branch or tag; the remote's own when None."""
    paths: tuple[str, ...] = ()
    """Folders and files that are taken; all when empty."""

    @property
    def location(self) -> str:
        """Its address."""
        return self.url


SourceEntry = FolderEntry | WebEntry | GitEntry
_KINDS: Mapping[str, TypeAdapter[SourceEntry]] = {
    "folder": TypeAdapter(FolderEntry),
    "web": TypeAdapter(WebEntry),
    "git": TypeAdapter(GitEntry),
}
_MODELS: Mapping[str, type[Entry]] = {"folder": FolderEntry, "web": WebEntry, "git": GitEntry}


class Catalogue:
    """The named sources, read from their file."""

    def __init__(self, entries: Mapping[str, SourceEntry]) -> None:
        self.entries = entries

    def get(self, name: str) -> SourceEntry:
        """The source of this name.

        Raises:
            SourceNotFound: naming those there are.
        """
        found = self.entries.get(name)
        if found is None:
            raise SourceNotFound(name, tuple(self.entries))
        return found


def read_catalogue(path: Path) -> Catalogue:
    """The catalogue at `path`; an empty one when there is no file.

    Raises:
        InvalidSetting: the file is not TOML, or says something unknown; the nearest known key is named.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return Catalogue({})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise InvalidSetting(f"{path} cannot be read as TOML: {error}.") from error
    return Catalogue({name: _read_entry(path, name, keys) for name, keys in content.items()})


def _read_entry(path: Path, name: str, keys: object) -> SourceEntry:
    place = f"{path}, source {name!r}"
    if not isinstance(keys, dict):
        raise InvalidSetting(f"{path}: {name!r} stands outside a source; write it as [name] key = value.")
    if not _NAME.match(name):
        raise InvalidSetting(f"{place}: name sources with lower-case letters, digits, _ and -.")
    kind = keys.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise InvalidSetting(f"{place}: kind is {kind!r}; there are {', '.join(_KINDS)}.")
    known = [key for key in _MODELS[kind].model_fields if key != "name"]
    for key in keys:
        if key not in known:
            raise InvalidSetting(f"{place}: a {kind} source has no key {key!r}.{nearest_hint(key, known)}")
    try:
        return _KINDS[kind].validate_python({**keys, "name": name})
    except ValidationError as error:
        raise InvalidSetting(f"{place}: {_explain(error)}") from error


def _explain(error: ValidationError) -> str:
    parts = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "missing":
            parts.append(f"the key {key!r} is missing.")
        else:
            parts.append(f"{key} is {problem['input']!r}: {problem['msg']}.")
    return " ".join(parts)
