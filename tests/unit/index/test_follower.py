"""The derived indexes follow the truth: from any older state, beside other processes, through damage."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
import structlog
from tests.support.corpus import Parts, document, embed, open_parts

from ragstone.errors import IndexFailed
from ragstone.index.follower import IndexFollower
from ragstone.index.slot import take_slot
from ragstone.ingest.write import Writer
from ragstone.store.collections import remove_collection
from ragstone.store.database import raise_version
from ragstone.store.documents import find_by_id, keeps_chunks, put_document, remove_document
from ragstone.store.passages import chunk_keys
from ragstone.types import LOCAL_OWNER, Collection, DocumentId, DocumentKey

pytestmark = pytest.mark.anyio


class HeldIndexes:
    """A follower that notes what it is asked for, and does none of it."""

    def __init__(self, follower: IndexFollower) -> None:
        self.expecting_own = follower.expecting_own
        self.asked: list[int] = []

    async def catch_up(self, version: int) -> None:
        """Note it."""
        self.asked.append(version)


async def test_a_write_is_found_when_it_returns(tmp_path: Path) -> None:
    """By both legs, at the version of the write."""
    async with open_parts(tmp_path) as parts:
        books = await parts.create("books")

        await parts.put(books, document("heron"))

        assert await parts.found(books, "heron") == await stored_keys(parts, books)
        nearest = await parts.follower.search_dense(books.id, embed("heron"), 1, None)
        assert nearest[0].score == pytest.approx(1.0)
        assert parts.follower.applied_version == await parts.database.corpus_version() == 2
        assert parts.follower.corpus_version([books.id]) == 2


async def test_removed_and_replaced_text_leaves_both_indexes(tmp_path: Path) -> None:
    """The indexes hold exactly the chunks that the rows hold."""
    async with open_parts(tmp_path) as parts:
        books = await parts.create("books")
        await parts.put(books, document("old heron " * 20, document_id="a"))
        gone = await parts.put(books, document("stork"))

        await replace(parts, books, "a", "crane")
        await remove(parts, books, gone)

        assert await parts.found(books, "heron stork") == set()
        await assert_in_step(parts, books)


@pytest.mark.parametrize("is_reopened", [False, True])
async def test_only_the_chunks_that_changed_are_indexed_again(tmp_path: Path, is_reopened: bool) -> None:
    """Unchanged chunks keep their keys in rows and indexes, also for a slot that was closed meanwhile."""
    async with open_parts(tmp_path) as parts:
        books = await parts.create("books")
        await parts.put(books, document("heron ".ljust(40) + "stork ".ljust(40) + "crane", document_id="a"))
        before = await stored_keys(parts, books)
    async with open_elsewhere(tmp_path) as parts:
        await amend(parts, books, "a", "ibis ".ljust(40) + "heron ".ljust(40) + "crane")

        after = await stored_keys(parts, books)
        assert len(before & after) == 2
        assert len(after) == 3
        await assert_in_step(parts, books)
        assert await parts.found(books, "stork") == set()
        assert await parts.found(books, "ibis") == after - before
        assert await parts.found(books, "heron crane") == before & after
    if is_reopened:
        async with open_parts(tmp_path) as parts:
            await assert_in_step(parts, books)
            assert await parts.found(books, "ibis") == after - before
            assert await parts.found(books, "stork") == set()


async def test_amending_twice_within_one_catch_up_leaves_both_indexes_in_step(tmp_path: Path) -> None:
    """Several changes of one document come to what the rows say last."""
    async with open_parts(tmp_path) as parts:
        books = await parts.create("books")
        await parts.put(books, document("heron ".ljust(40) + "stork", document_id="a"))

        for text in ("heron ".ljust(40) + "crane", "ibis ".ljust(40) + "crane", "ibis"):
            await amend(parts, books, "a", text)

        await assert_in_step(parts, books)
        assert await parts.found(books, "heron stork crane") == set()
        assert len(await parts.found(books, "ibis")) == 1


async def test_a_slot_that_is_behind_catches_up(tmp_path: Path) -> None:
    """Opened with files of an older version, the index holds what was put, replaced and removed since."""
    async with open_parts(tmp_path) as parts:
        books = await parts.create("books")
        await parts.put(books, document("heron", document_id="a"))
        gone = await parts.put(books, document("stork"))
    async with open_elsewhere(tmp_path) as parts:
        await replace(parts, books, "a", "crane")
        await remove(parts, books, gone)
        await parts.put(books, document("ibis"))

    async with open_parts(tmp_path) as parts:
        assert await parts.found(books, "heron stork") == set()
        assert len(await parts.found(books, "crane ibis")) == 2
        await assert_in_step(parts, books)


async def test_changes_of_another_process_are_applied(tmp_path: Path) -> None:
    """Two processes over one home: each finds the other's writes once it caught up, new collections too."""
    async with open_parts(tmp_path) as here, open_parts(tmp_path) as there:
        books = await here.create("books")
        await there.follower.catch_up(await there.database.corpus_version())
        await there.put(books, document("heron"))
        films = await there.create("films")
        await there.put(films, document("stork"))
        version = await here.database.corpus_version()
        assert here.follower.is_behind_others(version)

        await here.follower.catch_up(version)

        assert not here.follower.is_behind_others(version)
        assert len(await here.found(books, "heron")) == 1
        assert len(await here.found(films, "stork")) == 1
        assert set(here.follower.collections_of(films.tenant_id)) == {"books", "films"}


async def test_changes_of_two_collections_show_in_their_version_together(tmp_path: Path) -> None:
    """Whoever sees the newest version while changes are applied finds every older change, too."""
    async with open_parts(tmp_path) as ours, open_parts(tmp_path) as theirs:
        first, second = await ours.create("first"), await ours.create("second")
        await theirs.follower.catch_up(2)
        await ours.put(first, document("heron"))
        await ours.put(second, document("stork"))
        await ours.put(first, document("crane"))

        applying = asyncio.ensure_future(theirs.follower.catch_up(5))
        seen = {theirs.follower.corpus_version([first.id, second.id])}
        while not applying.done():
            await asyncio.sleep(0)
            version = theirs.follower.corpus_version([first.id, second.id])
            seen.add(version)
            if version == 5:
                assert await theirs.found(second, "stork") == await stored_keys(ours, second)

        assert seen == {2, 5}


async def test_a_dropped_and_created_collection_starts_empty(tmp_path: Path) -> None:
    """Between two looks of another process a collection may go and come again under its name."""
    async with open_parts(tmp_path) as here, open_parts(tmp_path) as there:
        old = await here.create("books")
        await here.put(old, document("heron"))
        await there.follower.catch_up(await there.database.corpus_version())
        await drop(here, old)
        new = await here.create("books")
        await here.put(new, document("stork"))

        await there.follower.catch_up(await there.database.corpus_version())

        assert there.follower.collections_of(new.tenant_id)["books"].id == new.id
        assert len(await there.found(new, "heron stork")) == 1
        with pytest.raises(IndexFailed, match="not available"):
            there.follower.lexical(old.id)
        with pytest.raises(IndexFailed, match="not available"):
            there.follower.vector(old.id)


async def test_a_collection_dropped_while_a_slot_slept_leaves_no_files(tmp_path: Path) -> None:
    """The slot's folder of the collection is gone after the next opening."""
    async with open_parts(tmp_path) as parts:
        books = await parts.create("books")
        await parts.put(books, document("heron"))
    assert (tmp_path / "index" / "0" / books.id).is_dir()
    async with open_elsewhere(tmp_path) as parts:
        await drop(parts, books)

    async with open_parts(tmp_path) as parts:
        assert parts.follower.collections_of(books.tenant_id) == {}
    assert not (tmp_path / "index" / "0" / books.id).exists()


@pytest.mark.parametrize("damage", ["meta", "folder", "segments", "note", "foreign epoch", "future"])
async def test_damaged_files_are_rebuilt(tmp_path: Path, damage: str) -> None:
    """Whatever happened to the slot's files, the opened index agrees with the rows."""
    async with open_parts(tmp_path) as parts:
        books = await parts.create("books")
        await parts.put(books, document("heron " * 30))
    slot = tmp_path / "index" / "0"
    spoil(slot, books, damage)

    async with open_parts(tmp_path) as parts:
        assert parts.follower.broken_collections() == []
        await assert_in_step(parts, books)
        await parts.put(books, document("stork"))
        assert len(await parts.found(books, "stork")) == 1


async def test_an_index_that_cannot_be_built_is_built_at_the_next_opening(tmp_path: Path) -> None:
    """While its folder is unusable only the lexical leg fails; what is there later is not taken for whole."""
    async with open_parts(tmp_path) as parts:
        books = await parts.create("books")
    folder = tmp_path / "index" / "0" / books.id
    shutil.rmtree(folder)
    folder.write_text("a file stands in the way")

    async with open_parts(tmp_path) as parts:
        await parts.put(books, document("heron"))
        assert parts.follower.broken_collections() == ["books"]
        with pytest.raises(IndexFailed, match="not available"):
            parts.follower.lexical(books.id)
        assert len(await parts.follower.search_dense(books.id, embed("heron"), 5, None)) == 1
    folder.unlink()
    shutil.copytree(await empty_index(tmp_path), folder)

    async with open_parts(tmp_path) as parts:
        assert parts.follower.broken_collections() == []
        await assert_in_step(parts, books)


async def test_an_index_that_is_being_rebuilt_is_missing_not_empty(tmp_path: Path) -> None:
    """A search meanwhile is told so: it never takes half an index for the whole."""
    async with open_parts(tmp_path) as parts:
        books = await parts.create("books")
        await parts.put(books, *(document(f"heron {number}") for number in range(300)))
        shutil.rmtree(tmp_path / "index" / "0" / books.id)

        rebuilding = asyncio.create_task(parts.put(books, document("stork")))
        counts: set[int | None] = set()
        while not rebuilding.done():
            try:
                counts.add(len(await parts.follower.search_lexical(books.id, "heron", 1000, None)))
            except IndexFailed:
                counts.add(None)
                await asyncio.sleep(0)
        await rebuilding

        assert None in counts, "no search came while it was rebuilt"
        assert counts <= {None, 300}
        await assert_in_step(parts, books)


async def test_rebuild_gives_the_same_indexes(tmp_path: Path) -> None:
    """After a rebuild everything is found as before."""
    async with open_parts(tmp_path) as parts:
        books = await parts.create("books")
        await parts.put(books, document("heron " * 30))

        await parts.follower.rebuild(await parts.database.renew_epoch())

        await assert_in_step(parts, books)
        assert parts.follower.applied_version == await parts.database.corpus_version()


async def test_a_request_beside_a_rebuild_waits_for_its_end(tmp_path: Path) -> None:
    """Whoever looks a collection up finds it whole, or none and everything after catching up."""
    async with open_parts(tmp_path) as parts:
        books = await parts.create("books")
        await parts.put(books, document("heron " * 30))
        keys = await stored_keys(parts, books)

        rebuilding = asyncio.ensure_future(parts.follower.rebuild(await parts.database.renew_epoch()))
        looks = 0
        while not rebuilding.done():
            if not parts.follower.collections_of(LOCAL_OWNER.tenant_id):
                looks += 1
                await parts.follower.catch_up(await parts.database.corpus_version())
            assert parts.follower.index_keys() == {books.id: (keys, keys)}
            await asyncio.sleep(0)

        assert looks
        await rebuilding


async def test_many_concurrent_writes_share_lexical_commits(tmp_path: Path) -> None:
    """Writers that wait for the index together are served by one commit; each finds its own write."""
    async with open_parts(tmp_path) as parts:
        books = await parts.create("books")
        writes = 24
        with structlog.testing.capture_logs() as logs:
            await asyncio.gather(*(parts.put(books, document(f"heron{at}")) for at in range(writes)))

        commits = [entry for entry in logs if entry["event"] == "index_commit_started"]
        assert sum(entry["changes"] for entry in commits) == writes
        assert len(commits) < writes
        await assert_in_step(parts, books)


async def test_a_write_of_this_process_in_flight_is_no_reason_to_wait(tmp_path: Path) -> None:
    """Between commit and index a version is known to be our own; another process's is not."""
    async with open_parts(tmp_path) as parts:
        applied = parts.follower.applied_version
        with parts.follower.expecting_own() as expect:
            expect(applied + 1)
            assert not parts.follower.is_behind_others(applied + 1)
            assert parts.follower.is_behind_others(applied + 2)
        assert not parts.follower.is_behind_others(applied + 1)


async def test_a_rolled_back_write_is_not_ours(tmp_path: Path) -> None:
    """The number may be another process's next: it must be waited for."""
    async with open_parts(tmp_path) as parts:
        version = parts.follower.applied_version + 1

        def fail() -> None:
            with parts.follower.expecting_own() as expect:
                expect(version)
                raise RuntimeError("rolled back")

        with pytest.raises(RuntimeError, match="rolled back"):
            fail()

        assert parts.follower.is_behind_others(version)


async def test_a_failing_write_changes_neither_rows_nor_indexes(tmp_path: Path) -> None:
    """The next write takes the number, and everything is in step."""
    async with open_parts(tmp_path) as parts:
        books = await parts.create("books")

        async def fail() -> None:
            async with parts.writer.change() as change:
                key, _ = await put_document(change.connection, books.id, document("heron"), None)
                change.touch(books.id, [key])
                raise RuntimeError("no")

        with pytest.raises(RuntimeError, match="no"):
            await fail()
        await parts.put(books, document("stork"))

        assert await parts.database.corpus_version() == 2
        assert await parts.found(books, "heron") == set()
        await assert_in_step(parts, books)


async def test_a_log_that_lacks_a_change_is_a_failure_not_a_hang(tmp_path: Path) -> None:
    """A version that the log does not explain is reported with the way out."""
    async with open_parts(tmp_path) as parts:
        with pytest.raises(IndexFailed, match="check --repair"):
            await parts.follower.catch_up(parts.follower.applied_version + 1)


async def test_a_change_that_was_none_waits_for_what_it_found_there(tmp_path: Path) -> None:
    """What it found done is in the indexes, too, when it returns."""
    async with open_parts(tmp_path) as parts:
        books = await parts.create("books")
        indexes = HeldIndexes(parts.follower)
        writer = Writer(parts.database, cast("IndexFollower", indexes))

        async with parts.database.write() as connection:
            await put_document(connection, books.id, document("heron"), None)
            await raise_version(connection)
        async with writer.change():
            pass

        assert indexes.asked == [2]


async def test_an_empty_change_raises_no_version(tmp_path: Path) -> None:
    """Looking without touching is no change."""
    async with open_parts(tmp_path) as parts:
        async with parts.writer.change() as change:
            pass

        assert change.version == 0
        assert await parts.database.corpus_version() == 0


@asynccontextmanager
async def open_elsewhere(home: Path) -> AsyncIterator[Parts]:
    """Another process's parts: slot 0 stays as it is."""
    blocker = take_slot(home / "index")
    try:
        async with open_parts(home) as parts:
            yield parts
    finally:
        blocker.release()


async def stored_keys(parts: Parts, collection: Collection) -> set[int]:
    """The chunk keys that the rows have."""
    async with parts.database.read() as connection:
        return await chunk_keys(connection, collection.id)


async def assert_in_step(parts: Parts, collection: Collection) -> None:
    """Both indexes hold the chunks of the rows, no more and no less."""
    true_keys = await stored_keys(parts, collection)
    assert parts.follower.index_keys()[collection.id] == (true_keys, true_keys)


async def replace(parts: Parts, collection: Collection, name: str, text: str) -> None:
    """Another text for a document."""
    async with parts.writer.change() as change:
        old = await find_by_id(change.connection, LOCAL_OWNER, DocumentId(name))
        new = document(text, document_id=name)
        key, _ = await put_document(change.connection, collection.id, new, old)
        change.touch(collection.id, [key])


async def amend(parts: Parts, collection: Collection, name: str, text: str) -> None:
    """Another text under the same title: chunks that stay the same keep their keys."""
    async with parts.writer.change() as change:
        old = await find_by_id(change.connection, LOCAL_OWNER, DocumentId(name))
        new = document(text, document_id=name)
        assert keeps_chunks(new, old)
        key, _ = await put_document(change.connection, collection.id, new, old)
        change.touch_chunks(collection.id, key)


async def remove(parts: Parts, collection: Collection, key: DocumentKey) -> None:
    """Remove a document."""
    async with parts.writer.change() as change:
        await remove_document(change.connection, key)
        change.touch(collection.id, [key])


async def drop(parts: Parts, collection: Collection) -> None:
    """Remove a collection."""
    async with parts.writer.change() as change:
        await remove_collection(change.connection, collection.id)
        change.collections[collection.id] = "dropped"


def spoil(slot: Path, collection: Collection, damage: str) -> None:
    """Do to a slot's files what a crash, a disk or another version may do."""
    folder, note = slot / collection.id, slot / "applied.json"
    applied = json.loads(note.read_text())
    match damage:
        case "meta":
            (folder / "meta.json").write_text("{")
        case "folder":
            shutil.rmtree(folder)
        case "segments":
            for path in folder.glob("*.*"):
                if path.suffix not in (".json", ".lock"):
                    path.write_bytes(b"")
        case "note":
            note.write_text("{")
        case "foreign epoch":
            note.write_text(json.dumps(applied | {"epoch": "another"}))
        case "future":
            note.write_text(json.dumps(applied | {"version": applied["version"] + 100}))


async def empty_index(home: Path) -> Path:
    """The files of an index without chunks."""
    async with open_parts(home / "other") as parts:
        films = await parts.create("films")
    return home / "other" / "index" / "0" / films.id
