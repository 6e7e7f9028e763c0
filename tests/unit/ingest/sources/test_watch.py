"""A watched folder is looked at when it changes, by notice or by polling, and is waited for when away."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from anyio import to_thread
from tests.unit.ingest.sources.conftest import Bench

from ragstone.ingest.sources.folder import FolderOptions, FolderSource
from ragstone.ingest.sources.watch import WatchLimits, follow

pytestmark = pytest.mark.anyio
LIMIT_S = 30.0


class Followed:
    """A folder that is followed, and what its syncs have left."""

    def __init__(self, bench: Bench, root: Path) -> None:
        self.bench, self.root = bench, root
        self.looked = asyncio.Condition()
        self.looks = 0

    async def look(self) -> None:
        """Sync."""
        try:
            await self.bench.sync(FolderSource(self.root, FolderOptions(prefix="s")))
        finally:
            async with self.looked:
                self.looks += 1
                self.looked.notify_all()

    async def until(self, wanted: set[str]) -> dict[str, str]:
        """Wait until exactly these documents are there; their ids."""
        async with asyncio.timeout(LIMIT_S), self.looked:
            while set(found := await self.bench.sources()) != wanted:
                await self.looked.wait()
        return found


@asynccontextmanager
async def followed(
    bench: Bench, root: Path, limits: WatchLimits, late: Path | None = None
) -> AsyncIterator[Followed]:
    """Follow a folder until the end of the block; `late` is written at the end of the first look."""
    folder = Followed(bench, root)

    async def look() -> None:
        try:
            await folder.look()
        except Exception:  # noqa: BLE001 (as the service does: the next change tries again)
            return
        if late is not None and folder.looks == 1:
            await to_thread.run_sync(late.write_text, "late")

    task = asyncio.create_task(follow(root, look, limits))
    try:
        yield folder
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("is_polling", [False, True])
async def test_create_change_rename_and_delete_are_followed(
    bench: Bench, tmp_path: Path, is_polling: bool
) -> None:
    """One after the other, each seen without a rescan; a rename keeps the document."""
    root = tmp_path / "watched"
    root.mkdir()
    (root / "a.md").write_text("one")
    async with followed(bench, root, WatchLimits(0.05, 3600, is_polling)) as folder:
        await folder.until({"s/a.md"})
        (root / "sub").mkdir()
        (root / "sub" / "b.md").write_text("two")
        before = await folder.until({"s/a.md", "s/sub/b.md"})

        (root / "sub" / "b.md").rename(root / "c.md")
        after = await folder.until({"s/a.md", "s/c.md"})
        (root / "a.md").unlink()
        await folder.until({"s/c.md"})

    assert after["s/c.md"] == before["s/sub/b.md"]


async def test_a_change_before_the_watch_is_set_is_not_lost(bench: Bench, tmp_path: Path) -> None:
    """Written after the first look has listed the folder, before anything could tell of it."""
    root = tmp_path / "watched"
    root.mkdir()
    (root / "a.md").write_text("one")
    async with followed(bench, root, WatchLimits(0.05, 3600), late=root / "b.md") as folder:
        await folder.until({"s/a.md", "s/b.md"})


async def test_a_rescan_sees_what_no_notice_told(bench: Bench, tmp_path: Path) -> None:
    """A folder that is not there yet, and one that is replaced by another of its name."""
    root = tmp_path / "watched"
    async with followed(bench, root, WatchLimits(0.05, 0.1)) as folder:
        async with folder.looked:
            await asyncio.wait_for(folder.looked.wait_for(lambda: folder.looks >= 2), LIMIT_S)
        root.mkdir()
        (root / "a.md").write_text("one")
        await folder.until({"s/a.md"})

        shutil.move(root, tmp_path / "away")
        root.mkdir()
        (root / "b.md").write_text("two")
        await folder.until({"s/b.md"})
