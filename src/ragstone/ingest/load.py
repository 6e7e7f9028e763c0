"""Find the files that a path means, and read them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

from ragstone.errors import FileTooLarge, PathNotFound
from ragstone.ingest.patterns import Patterns
from ragstone.types import RawFile

_SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__"})
_IGNORE_FILE = ".gitignore"


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file to take in: where it is, and its name relative to the path that was asked for."""

    path: Path
    name: str

    @property
    def source(self) -> str:
        """The whole path, links resolved: what a later add of the same file replaces by."""
        return _readable(str(self.path.resolve()))


@dataclass(frozen=True, slots=True)
class _Ignored:
    """The rules of one `.gitignore`, which count from its folder downwards."""

    folder: Path
    spec: GitIgnoreSpec


def walk(
    paths: Iterable[Path | str],
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    on_unreadable: Callable[[Path], object] = str,
) -> Iterator[FoundFile]:
    """The files that `paths` name, folders recursively, in sorted order, each file once.

    `include` and `exclude` are globs in .gitignore's grammar over the name relative to the path given; a
    file named itself is always found. Hidden files and folders, `node_modules`, `__pycache__` and what a
    `.gitignore` within the walk names are left out. Links are followed within a folder, never out of it.
    A folder that may not be read is passed over, and told to `on_unreadable`.

    Raises:
        PathNotFound: a path does not exist; before any file is yielded.
    """
    roots = [Path(path) for path in paths]
    for root in roots:
        if not root.exists():
            raise PathNotFound(f"There is no file or folder {str(root)!r}.", path=str(root))
    walker = _Walker(Patterns(include, exclude), on_unreadable)
    for root in roots:
        yield from walker.files(root)


def read(found: FoundFile, max_file_bytes: int) -> RawFile:
    """The file's bytes.

    Raises:
        FileTooLarge: it is over the limit; at most one byte more than that is read.
        PathNotFound: it is gone or may not be read.
    """
    try:
        with found.path.open("rb") as file:
            content = file.read(max_file_bytes + 1)
            size_bytes = max(len(content), os.fstat(file.fileno()).st_size)
    except OSError as error:
        path = str(found.path)
        raise PathNotFound(f"{path!r} cannot be read: {error.strerror}.", path=path) from error
    if len(content) > max_file_bytes:
        raise FileTooLarge(
            f"{found.name!r} has {size_bytes:,} bytes; ingest.max_file_bytes allows {max_file_bytes:,}.",
            name=found.name,
        )
    return RawFile(content, found.name)


class _Walker:
    """One walk: its globs, and what it has been to."""

    def __init__(self, patterns: Patterns, on_unreadable: Callable[[Path], object]) -> None:
        self._patterns = patterns
        self._on_unreadable = on_unreadable
        self._seen: set[Path] = set()

    def files(self, root: Path) -> Iterator[FoundFile]:
        if root.is_file():
            if self._is_new(root):
                yield FoundFile(root, _readable(root.name))
        elif self._is_new(root):
            yield from self._within(root, root, ())

    def _within(self, root: Path, folder: Path, ignored: tuple[_Ignored, ...]) -> Iterator[FoundFile]:
        ignored = (*ignored, *_ignore_rules(folder))
        for entry in self._entries(folder):
            name = entry.relative_to(root).as_posix()
            if self._is_left_out(entry, name, ignored) or _leads_outside(entry, root):
                continue
            if entry.is_dir():
                if self._is_new(entry):
                    yield from self._within(root, entry, ignored)
            elif entry.is_file() and self._patterns.includes(name) and self._is_new(entry):
                yield FoundFile(entry, _readable(name))

    def _is_left_out(self, entry: Path, name: str, ignored: tuple[_Ignored, ...]) -> bool:
        if entry.name.startswith(".") or entry.name in _SKIPPED_FOLDERS:
            return True
        suffix = "/" if entry.is_dir() else ""
        return self._patterns.excludes(name + suffix) or any(
            rules.spec.match_file(entry.relative_to(rules.folder).as_posix() + suffix) for rules in ignored
        )

    def _entries(self, folder: Path) -> list[Path]:
        try:
            return sorted(folder.iterdir())
        except OSError:  # no permission, or gone since its parent was listed
            self._on_unreadable(folder)
            return []

    def _is_new(self, path: Path) -> bool:
        """Whether the walk comes here for the first time; links make loops and doubles."""
        place = path.resolve()
        is_new = place not in self._seen
        self._seen.add(place)
        return is_new


def _readable(name: str) -> str:
    """A name as Unicode text: file systems allow any bytes, which no database and no JSON take."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _leads_outside(entry: Path, root: Path) -> bool:
    return entry.is_symlink() and not entry.resolve().is_relative_to(root.resolve())


def _ignore_rules(folder: Path) -> tuple[_Ignored, ...]:
    try:
        lines = (folder / _IGNORE_FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    return (_Ignored(folder, GitIgnoreSpec.from_lines(lines)),)
