"""A repository as a source: shallow, only what is wanted, and nothing of it is run."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.support.repository import Repository, git, make_repository

from ragstone.errors import FetchRefused, InvalidRequest, RagstoneError, Refused, SourceFailed
from ragstone.ingest.sources.git import GitOptions, GitSource
from ragstone.ingest.sources.ports import SourceItem
from ragstone.net.fakes import TableResolver
from ragstone.net.guard import AddressGuard, FetchRules
from ragstone.store.sources import KnownItem

pytestmark = pytest.mark.anyio
LIMIT_S = 60.0


@pytest.fixture(params=[True, False], ids=["with filters", "without filters"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Repository:
    """A repository whose server can or cannot leave blobs out."""
    return make_repository(tmp_path / "remote", has_filters=request.param)


def source_of(repository: Repository, url: str | None = None, **options: Any) -> GitSource:
    """A source with a clone beside the repository."""
    wanted = GitOptions(**{"allowed_roots": (repository.bare.parent,), **options})
    guard = AddressGuard(TableResolver({"inside.example": [["10.0.0.1"]]}), FetchRules())
    clone = repository.bare.parent.parent / "clone"
    return GitSource("code", url or str(repository.bare), clone, guard, wanted)


async def listed(source: GitSource, known: dict[str, KnownItem] | None = None) -> dict[str, SourceItem]:
    """The items by uri."""
    async with asyncio.timeout(LIMIT_S):
        return {one.uri: one async for one in source.items(known or {}) if isinstance(one, SourceItem)}


async def text_of(item: SourceItem) -> str:
    """What an item loads."""
    return (await item.load()).content.decode()


def local_objects(repository: Repository) -> set[str]:
    """The objects that the clone has, without fetching any."""
    clone = repository.bare.parent.parent / "clone"
    shown = git(clone, "cat-file", "--batch-all-objects", "--batch-check=%(objecttype) %(objectname)")
    return {line.split()[1] for line in shown.splitlines() if line.startswith("blob")}


async def test_files_of_the_newest_commit_are_listed(repository: Repository) -> None:
    """With path, repository and commit; hidden files and links are left out."""
    (repository.work / "link.md").symlink_to("/etc/passwd")
    commit = repository.commit({"a.md": "# A", "docs/ü.md": "# U", ".hidden/x.md": "no", ".gitignore": "*.o"})

    items = await listed(source_of(repository))

    assert set(items) == {"code/a.md", "code/docs/ü.md"}
    assert items["code/a.md"].metadata == {
        "path": "a.md",
        "repository": str(repository.bare),
        "commit": commit,
    }
    assert await text_of(items["code/docs/ü.md"]) == "# U"


async def test_only_wanted_files_are_fetched(tmp_path: Path) -> None:
    """Sparse: where the server can leave blobs out, those outside of the paths never come."""
    repository = make_repository(tmp_path / "remote")
    repository.commit({"docs/a.md": "wanted", "src/big.bin": "x" * 100_000, "docs/b.txt": "not by the glob"})

    items = await listed(source_of(repository, paths=("docs/",), include=("*.md",)))

    assert set(items) == {"code/docs/a.md"}
    assert local_objects(repository) == {items["code/docs/a.md"].fingerprint}


async def test_only_new_blobs_are_fetched_again(tmp_path: Path) -> None:
    """After a change of one file of two, the clone gains one blob; the other keeps its fingerprint."""
    repository = make_repository(tmp_path / "remote")
    repository.commit({"a.md": "one", "b.md": "two"})
    first = await listed(source_of(repository))
    before = local_objects(repository)
    repository.commit({"a.md": "one, changed"})

    known = {uri: KnownItem(uri, "default", item.fingerprint) for uri, item in first.items()}
    second = await listed(source_of(repository), known)

    assert second["code/b.md"].fingerprint == first["code/b.md"].fingerprint
    assert local_objects(repository) - before == {second["code/a.md"].fingerprint}
    assert await text_of(second["code/a.md"]) == "one, changed"


async def test_history_may_be_rewritten(repository: Repository) -> None:
    """A forced push is a new commit like any other; so is another branch."""
    repository.commit({"a.md": "one"})
    await listed(source_of(repository))
    git(repository.work, "checkout", "--quiet", "--orphan", "fresh")
    repository.commit({"a.md": "anew"})
    repository.commit({"a.md": "of the branch"}, branch="dev")

    assert await text_of((await listed(source_of(repository)))["code/a.md"]) == "anew"
    branch = await listed(source_of(repository, branch="dev"))
    assert await text_of(branch["code/a.md"]) == "of the branch"


async def test_a_damaged_clone_is_made_anew(repository: Repository) -> None:
    """A clone that a crash left half written is no reason to fail."""
    repository.commit({"a.md": "one"})
    await listed(source_of(repository))
    clone = repository.bare.parent.parent / "clone"
    for path in [*(clone / "objects").rglob("*.pack"), *(clone / "objects").rglob("*.idx")]:
        path.chmod(0o600)
        path.write_bytes(b"")
    (clone / "refs").rename(clone / "lost")

    assert set(await listed(source_of(repository))) == {"code/a.md"}


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://127.0.0.1/x.git", FetchRefused),
        ("https://inside.example/x.git", FetchRefused),
        ("https://0x7f.1/x.git", InvalidRequest),
        ("https://user:token@example.org/x.git", InvalidRequest),
        ("http://example.org/x.git", InvalidRequest),
        ("ssh://git@example.org/x.git", InvalidRequest),
        ("git@example.org:x.git", InvalidRequest),
        ("ext::sh -c 'touch /tmp/pwned'", InvalidRequest),
        ("--upload-pack=touch /tmp/pwned", InvalidRequest),
        ("file://otherhost/x.git", InvalidRequest),
        ("/etc", Refused),
        ("file:///etc/../root/x.git", Refused),
    ],
)
async def test_other_places_are_refused(tmp_path: Path, url: str, kind: type[RagstoneError]) -> None:
    """Private addresses, other transports, options in disguise, folders outside of the allowed ones."""
    repository = make_repository(tmp_path / "remote")

    with pytest.raises(kind):
        await listed(source_of(repository, url))


async def test_https_goes_to_the_checked_address(tmp_path: Path) -> None:
    """git connects where the guard looked, and speaks to the name; the system's resolver is not asked."""
    hello: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not hello.done():
            hello.set_result(await reader.read(4096))
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    rules = FetchRules(hosts=frozenset({"git.example"}), ports=frozenset({port}))
    guard = AddressGuard(TableResolver({"git.example": [["127.0.0.1"]]}), rules)
    source = GitSource("code", f"https://git.example:{port}/x.git", tmp_path / "clone", guard, GitOptions())
    async with server:
        with pytest.raises(SourceFailed, match="git fetch failed"):
            await listed(source)

        assert b"git.example" in await asyncio.wait_for(hello, LIMIT_S)


async def test_a_repository_over_the_limit_is_refused(tmp_path: Path) -> None:
    """A pack that is larger than allowed ends the fetch, with the setting's name."""
    repository = make_repository(tmp_path / "remote", has_filters=False)
    noise = "".join(f"{n * 2654435761 % 2**32:08x}" for n in range(60_000))
    repository.commit({"a.md": noise})

    with pytest.raises(SourceFailed, match="git_max_bytes"):
        await listed(source_of(repository, max_pack_bytes=50_000))


async def test_a_git_that_hangs_is_ended(tmp_path: Path) -> None:
    """A server that never answers meets the time limit, and no process stays."""

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until git goes
        writer.close()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    rules = FetchRules(hosts=frozenset({"git.example"}), ports=frozenset({port}))
    guard = AddressGuard(TableResolver({"git.example": [["127.0.0.1"]]}), rules)
    options = GitOptions(timeout_s=0.5)
    source = GitSource("code", f"https://git.example:{port}/x.git", tmp_path / "clone", guard, options)
    async with silent:
        with pytest.raises(SourceFailed, match="git_timeout_s"):
            await listed(source)


async def test_a_branch_that_is_not_there_is_named(repository: Repository) -> None:
    """git's own words, short."""
    repository.commit({"a.md": "one"})

    with pytest.raises(SourceFailed, match="nowhere"):
        await listed(source_of(repository, branch="nowhere"))
