"""A sync brings the store to what the source holds, whatever happened before and happens during it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.ingest.sources.conftest import Bench, ListedSource

from ragstone.errors import FetchFailed, SourceFailed, StoreFailed
from ragstone.ingest.sources.catalogue import FolderEntry
from ragstone.ingest.sources.ports import FailedItem, Incomplete
from ragstone.ingest.sources.sync import SyncLimits, Tally
from ragstone.types import DocumentId

pytestmark = pytest.mark.anyio


async def test_new_changed_unchanged_and_vanished(bench: Bench) -> None:
    """Each item gets what it needs and no more: what is unchanged is not even read."""
    source = ListedSource({"a": "one", "b": "two", "c": "three"})
    first = await bench.sync(source)
    ids = await bench.sources()

    source.texts = {"a": "one", "b": "two, longer"}
    source.loaded.clear()
    second = await bench.sync(source)

    assert first.counts == {"added": 3}
    assert second.counts == {"unchanged": 1, "replaced": 1, "removed": 1}
    assert source.loaded == ["b"]
    assert await bench.sources() == {"a": ids["a"], "b": ids["b"]}


async def test_moved_content_keeps_its_document(bench: Bench) -> None:
    """The same bytes at another uri: the same id, whatever else moves, comes and goes."""
    source = ListedSource({"a.md": "one", "b.md": "two", "c.md": "three"})
    await bench.sync(source)
    ids = await bench.sources()

    source.texts = {"x/a.md": "one", "b.md": "two", "d.md": "four"}
    tally = await bench.sync(source)

    assert tally.counts == {"moved": 1, "added": 1, "unchanged": 1, "removed": 1}
    after = await bench.sources()
    assert after["x/a.md"] == ids["a.md"]
    assert set(after) == {"x/a.md", "b.md", "d.md"}
    assert set(await bench.rows()) == set(after)
    assert (await bench.sync(source)).counts == {"unchanged": 3}


async def test_a_name_of_another_kind_is_no_move(bench: Bench) -> None:
    """The suffix decides how bytes are read: a.txt as a.md is another document."""
    source = ListedSource({"a.txt": "# one"})
    await bench.sync(source)
    before = await bench.sources()

    source.texts = {"a.md": "# one"}
    await bench.sync(source)

    assert (await bench.sources())["a.md"] != before["a.txt"]


@pytest.mark.parametrize(("gone", "is_guarded"), [(3, False), (4, True), (10, True)])
async def test_too_many_vanished_documents_stay_unless_forced(
    bench: Bench, gone: int, is_guarded: bool
) -> None:
    """More than the share: none goes, and the message says how to let them. With force they go."""
    bench.limits = SyncLimits(max_vanished_share=0.3, always_removed=0)
    source = ListedSource({f"{n}": f"text {n}" for n in range(10)})
    await bench.sync(source)

    source.texts = {f"{n}": f"text {n}" for n in range(gone, 10)}
    tally = await bench.sync(source)

    assert (tally.guard is not None, len(await bench.sources())) == (
        is_guarded,
        10 if is_guarded else 10 - gone,
    )
    if tally.guard is not None:
        assert f"{gone} of 10 documents of source 's' have vanished" in tally.guard.message
        assert tally.counts["kept"] == gone
    forced = await bench.sync(source, is_forced=True)
    assert forced.guard is None
    assert len(await bench.sources()) == 10 - gone


async def test_a_few_vanished_documents_always_go(bench: Bench) -> None:
    """Of two documents one is half of them, and goes: so few are brought back in no time."""
    bench.limits = SyncLimits(max_vanished_share=0.3, always_removed=1)
    source = ListedSource({"a": "one", "b": "two"})
    await bench.sync(source)

    del source.texts["a"]
    assert (await bench.sync(source)).counts == {"unchanged": 1, "removed": 1}


async def test_a_failed_listing_removes_nothing(bench: Bench) -> None:
    """What was listed before the failure is in; what was not is still there."""
    source = ListedSource({"a": "one", "b": "two"})
    await bench.sync(source)

    source.texts, source.failure = {"c": "three"}, SourceFailed("It went away.")
    source.finds_moves = False
    with pytest.raises(SourceFailed):
        await bench.sync(source)

    assert set(await bench.sources()) == {"a", "b", "c"}


async def test_an_incomplete_listing_and_failed_items_remove_nothing(bench: Bench) -> None:
    """A crawl at its cap, a page in trouble: what is not named may still be there."""
    source = ListedSource({"a": "one", "b": "two"})
    await bench.sync(source)

    source.texts, source.others = {"a": "one"}, [FailedItem("b", FetchFailed("503"))]
    failed = await bench.sync(source)
    source.others = [Incomplete("At the cap.")]
    incomplete = await bench.sync(source)

    assert failed.counts == {"unchanged": 1, "failed": 1}
    assert failed.failures == [{"uri": "b", "code": "fetch_failed", "message": "503"}]
    assert incomplete.note == "At the cap."
    assert set(await bench.sources()) == {"a", "b"}


async def test_a_broken_item_does_not_stop_the_others_and_is_not_tried_in_vain(bench: Bench) -> None:
    """It is refused once, and again only when it changed; its last good version stays."""
    source = ListedSource({"a": "one", "b": "fine"})
    await bench.sync(source)
    source.texts = {"a": "one", "b": "broken now", "c": "three"}

    first = await bench.sync(source)
    source.loaded.clear()
    second = await bench.sync(source)
    source.texts["b"] = "mended"
    third = await bench.sync(source)

    assert first.counts == {"unchanged": 1, "failed": 1, "added": 1}
    assert (second.counts, [uri for uri in source.loaded if uri != "b"]) == ({"unchanged": 3}, [])
    assert third.counts == {"unchanged": 2, "replaced": 1}
    assert (await bench.rows())["b"].error is None


async def test_what_failed_in_passing_is_tried_again(bench: Bench) -> None:
    """A full disk is not the document's fault: the next sync takes it in."""
    source = ListedSource({"a": "one"})
    bench.intake.failing = StoreFailed("The disk is full.")
    assert (await bench.sync(source)).counts == {"failed": 1}

    bench.intake.failing = None
    assert (await bench.sync(source)).counts == {"added": 1}


async def test_a_document_removed_by_hand_comes_back(bench: Bench) -> None:
    """The source is right: what it holds is there after a sync."""
    source = ListedSource({"a": "one"})
    await bench.sync(source)
    await bench.intake.remove(DocumentId((await bench.sources())["a"]))

    await bench.sync(source)

    assert set(await bench.sources()) == {"a"}


async def test_new_metadata_reaches_every_document(bench: Bench) -> None:
    """What the catalogue says of all documents is part of what makes one current."""
    source = ListedSource({"a": "one"})
    await bench.sync(source)

    bench.entry = bench.entry.model_copy(update={"metadata": {"team": "x"}})
    await bench.sync(source)

    metadata = bench.intake.submitted[-1].metadata
    assert metadata is not None and (metadata["team"], metadata["source_name"]) == ("x", "s")
    assert (await bench.sync(source)).counts == {"unchanged": 1}


async def test_a_source_that_changes_its_collection_takes_its_documents_along(bench: Bench) -> None:
    """They are in the new one, and in the old one no more."""
    source = ListedSource({"a": "one"})
    await bench.sync(source)

    bench.entry = bench.entry.model_copy(update={"collection": "other"})
    await bench.sync(source)

    assert set(await bench.sources("other")) == {"a"}
    assert await bench.sources("default") == {}


async def test_a_document_of_two_sources_stays_while_one_has_it(bench: Bench) -> None:
    """Two crawls may meet at a page; it goes with the last of them."""
    shared, other = ListedSource({"p": "page"}), ListedSource({"p": "page"})
    await bench.sync(shared)
    second = replace(bench, entry=FolderEntry(name="t", path=Path("/")))
    await second.sync(other)

    shared.texts = {}
    await bench.sync(shared)
    assert set(await bench.sources()) == {"p"}

    other.texts = {}
    await second.sync(other)
    assert await bench.sources() == {}


@pytest.mark.parametrize("finds_moves", [True, False])
@pytest.mark.parametrize("moment", ["on_submit", "on_stored"])
async def test_a_sync_cut_off_anywhere_is_taken_up_by_the_next(
    bench: Bench, finds_moves: bool, moment: str
) -> None:
    """Cancelled before a document is stored, and after, when its row is not yet; then items vanish.

    Nothing is left without an owner.
    """
    for cut in range(1, 5):
        source = ListedSource({f"{cut}-{n}": f"text {cut} {n}" for n in range(4)}, finds_moves=finds_moves)
        task = asyncio.create_task(bench.sync(source))
        setattr(bench.intake, moment, _cancelling(task, cut))
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(outcome, asyncio.CancelledError)

        setattr(bench.intake, moment, None)
        source.texts = {f"{cut}-3": f"text {cut} 3"}
        await bench.sync(source)

        assert set(await bench.sources()) == {f"{cut}-3"}
        assert set(await bench.rows()) == {f"{cut}-3"}


def _cancelling(task: asyncio.Task[Tally], after: int) -> Callable[[], None]:
    """Cancels the task at the submission of this number."""
    seen = 0

    def count() -> None:
        nonlocal seen
        seen += 1
        if seen == after:
            task.cancel()

    return count
