"""A git repository as a source: one commit deep, only the files wanted, told apart by their blobs."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from anyio import to_thread

from ragstone.errors import FileTooLarge, InvalidRequest, SourceFailed
from ragstone.ingest.patterns import Patterns
from ragstone.ingest.sources.folder import require_allowed
from ragstone.ingest.sources.git_command import Git
from ragstone.ingest.sources.ports import Listed, SourceItem
from ragstone.net.guard import AddressGuard
from ragstone.store.sources import KnownItem
from ragstone.types import RawFile

_FILE_MODES = (b"100644", b"100755")
"""Files; links and submodules point elsewhere and are left out."""
_FETCHED_REF = "refs/ragstone/head"


@dataclass(frozen=True, slots=True)
class GitOptions:
    """What is taken of a repository, and what that may cost."""

    branch: str | None = None
    paths: Sequence[str] = ()
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    max_file_bytes: int = 100 * 2**20
    timeout_s: float = 300.0
    max_pack_bytes: int = 2 * 2**30
    allowed_roots: Sequence[Path] = ()


@dataclass(frozen=True, slots=True)
class _Blob:
    """A file of the commit."""

    path: str
    sha: str


class GitSource:
    """The files of one branch. The clone is bare: nothing of it is ever checked out or run."""

    finds_moves = True

    def __init__(self, name: str, url: str, folder: Path, guard: AddressGuard, options: GitOptions) -> None:
        self._name = name
        self._url = url
        self._folder = folder
        self._guard = guard
        self._options = options
        self._git = Git(folder, options.timeout_s, options.max_pack_bytes)
        self._patterns = Patterns(options.include, options.exclude)

    async def items(self, known: Mapping[str, KnownItem]) -> AsyncGenerator[Listed, None]:
        """Every file of the newest commit; only blobs that are not here yet are fetched.

        Raises:
            InvalidRequest: the address is neither https nor a local repository.
            Refused: a local repository outside of `ingest.allowed_roots`, an address that is not public.
            SourceFailed: git fails.
        """
        address = await self._checked_address()
        commit = await self._fetch(address)
        blobs = [blob for blob in await self._list(commit) if self._is_wanted(blob.path)]
        new = [blob for blob in blobs if not self._is_known(known, blob)]
        await self._fetch_blobs([blob.sha for blob in new])
        for blob in blobs:
            yield SourceItem(
                uri=f"{self._name}/{blob.path}",
                fingerprint=blob.sha,
                load=partial(self._load, blob),
                metadata={"path": blob.path, "repository": self._url, "commit": commit},
            )

    def _is_known(self, known: Mapping[str, KnownItem], blob: _Blob) -> bool:
        row = known.get(f"{self._name}/{blob.path}")
        return row is not None and row.fingerprint == blob.sha

    async def _checked_address(self) -> str:
        """What git is told to fetch from; the host of an https address is resolved here and pinned."""
        if self._url.startswith("https://"):
            checked = await self._guard.check(self._url)
            target = checked.target
            if target.literal is None:
                self._git.pin(target.host, target.port, str(checked.addresses[0]))
            return target.url
        path = _local_path(self._url)
        if path is None:
            raise InvalidRequest(
                f"{self._url!r} is no repository that is synced; give https://..., file:///... or a path."
            )
        return f"file://{require_allowed(path, self._options.allowed_roots)}"

    async def _fetch(self, address: str) -> str:
        """Bring the newest commit here, without its files; its hash. A damaged clone is made anew."""
        if await self._is_clone():
            try:
                return await self._fetch_commit(address)
            except SourceFailed:
                if await self._is_sound():
                    raise
        await to_thread.run_sync(partial(shutil.rmtree, self._folder, ignore_errors=True))
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        await self._git.run("init", "--quiet", "--bare")
        return await self._fetch_commit(address)

    async def _is_clone(self) -> bool:
        return await to_thread.run_sync((self._folder / "HEAD").is_file)

    async def _is_sound(self) -> bool:
        try:
            await self._git.run("rev-parse", "--verify", "--quiet", f"{_FETCHED_REF}^{{tree}}")
        except SourceFailed:
            return False
        return True

    async def _fetch_commit(self, address: str) -> str:
        await self._git.run("config", "remote.origin.url", address)
        wanted = f"+{self._options.branch or 'HEAD'}:{_FETCHED_REF}"
        await self._git.run(
            "fetch", "--quiet", "--depth=1", "--no-tags", "--filter=blob:none", "--force", "origin", wanted
        )
        return (await self._git.run("rev-parse", f"{_FETCHED_REF}^{{commit}}")).decode().strip()

    async def _list(self, commit: str) -> list[_Blob]:
        words = ["ls-tree", "-r", "-z", "--full-tree", commit]
        listed = await self._git.run(*words, "--", *(path.strip("/") or "." for path in self._options.paths))
        blobs = []
        for entry in listed.split(b"\0"):
            head, _, path = entry.partition(b"\t")
            mode, _, rest = head.partition(b" ")
            if mode in _FILE_MODES:
                name = path.decode("utf-8", "backslashreplace")
                blobs.append(_Blob(name, rest.rpartition(b" ")[2].decode("ascii")))
        return blobs

    def _is_wanted(self, path: str) -> bool:
        """As in a folder: hidden files are left out."""
        if any(part.startswith(".") for part in path.split("/")) or self._patterns.excludes(path):
            return False
        return self._patterns.includes(path)

    async def _fetch_blobs(self, shas: Sequence[str]) -> None:
        """Those of the blobs that are not here yet, in one request instead of one for each."""
        if not shas:
            return
        listed = await self._git.run(
            "rev-list", "--objects", "--missing=print", "--no-object-names", _FETCHED_REF
        )
        missing = {line[1:] for line in listed.decode("ascii").split() if line.startswith("?")}
        wanted = sorted(missing.intersection(shas))
        if wanted:
            await self._git.run(
                "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--recurse-submodules=no",
                "--filter=blob:none", "--stdin", "origin",
                stdin="\n".join(wanted).encode() + b"\n", config="fetch.negotiationAlgorithm=noop",
            )  # fmt: skip

    async def _load(self, blob: _Blob) -> RawFile:
        size = int(await self._git.run("cat-file", "-s", blob.sha))
        limit = self._options.max_file_bytes
        if size > limit:
            raise FileTooLarge(
                f"{blob.path!r} has {size:,} bytes; ingest.max_file_bytes allows {limit:,}.", name=blob.path
            )
        return RawFile(await self._git.run("cat-file", "blob", blob.sha), blob.path)


def _local_path(url: str) -> Path | None:
    if url.startswith("file://"):
        parts = urlsplit(url)
        return Path(url2pathname(parts.path)) if parts.netloc in ("", "localhost") else None
    return Path(url) if "://" not in url and url.startswith(("/", "~")) else None
