"""Which paths of a folder, a site or a repository are wanted."""

from __future__ import annotations

from collections.abc import Sequence

from pathspec import GitIgnoreSpec


class Patterns:
    """Globs in .gitignore's grammar: paths to take, every one when none is named, and paths to leave out."""

    def __init__(self, include: Sequence[str], exclude: Sequence[str]) -> None:
        self._include = GitIgnoreSpec.from_lines(include) if include else None
        self._exclude = GitIgnoreSpec.from_lines(exclude)

    def includes(self, path: str) -> bool:
        """Whether it is among those to take; what is left out is not looked at."""
        return self._include is None or self._include.match_file(path)

    def excludes(self, path: str) -> bool:
        """Whether it is to be left out; a folder's path ends with a slash."""
        return self._exclude.match_file(path)
