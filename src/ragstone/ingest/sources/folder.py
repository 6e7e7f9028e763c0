"""A folder as a source: what `walk` finds, told apart by time and size."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from anyio import to_thread

from ragstone.errors import InvalidRequest, PathNotFound, Refused
from ragstone.ingest.load import FoundFile, read, walk
from ragstone.ingest.sources.ports import FailedItem, Incomplete, Listed, SourceItem
from ragstone.store.sources import KnownItem
from ragstone.types import RawFile


@dataclass(frozen=True, slots=True)
class FolderOptions:
    """Which files of a folder are taken."""

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    max_file_bytes: int = 100 * 2**20
    prefix: str | None = None
    """Stands before the path relative to the folder; None makes the whole path the uri, as `add` does."""


class FolderSource:
    """The files below a folder. Hidden files and what `.gitignore` names are left out."""

    finds_moves = True

    def __init__(self, root: Path, options: FolderOptions) -> None:
        self._root = root
        self._options = options

    async def items(self, known: Mapping[str, KnownItem]) -> AsyncGenerator[Listed, None]:
        """Every file; see `Source`.

        Raises:
            PathNotFound: the folder is not there.
        """
        del known
        for listed in await to_thread.run_sync(self._list):
            yield listed

    def _list(self) -> list[Listed]:
        unreadable: list[Path] = []
        found: list[Listed] = [
            self._item(file)
            for file in walk(
                [self._root], self._options.include, self._options.exclude, on_unreadable=unreadable.append
            )
        ]
        if unreadable:
            found.append(Incomplete(f"The folder {str(unreadable[0])!r} cannot be read."))
        return found

    def _item(self, file: FoundFile) -> Listed:
        prefix = self._options.prefix
        uri = file.source if prefix is None else f"{prefix}/{file.name}"
        try:
            # Taken before the content is read: what is written in between shows at the next listing.
            status = file.path.stat()
        except OSError as error:
            return FailedItem(uri, PathNotFound(f"{str(file.path)!r} cannot be read: {error.strerror}."))
        return SourceItem(
            uri=uri,
            fingerprint=f"{status.st_mtime_ns}:{status.st_size}",
            load=partial(self._load, file),
            metadata={} if prefix is None else {"path": file.name},
        )

    async def _load(self, file: FoundFile) -> RawFile:
        return await to_thread.run_sync(read, file, self._options.max_file_bytes)


def require_allowed(path: Path, allowed_roots: Sequence[Path]) -> Path:
    """The path, links resolved, when it lies within a folder that the server may read from.

    Raises:
        Refused: it does not; whether it exists is not told.
        InvalidRequest: nothing could have this path: it holds a NUL, or the home of an unknown user.
    """
    try:
        place = path.expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise InvalidRequest(f"{str(path)!r} is no path: {error}.", path=str(path)) from error
    if any(place.is_relative_to(root.expanduser().resolve()) for root in allowed_roots):
        return place
    raise Refused(
        f"The server does not read {str(path)!r}: it lies in no folder of ingest.allowed_roots. "
        "List its folder there, or add it with `ragstone add`.",
        path=str(path),
    )
