"""What every lexical index promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ragstone.errors import IndexFailed
from ragstone.index.lexical import TantivyIndex
from ragstone.index.ports import LexicalIndex
from ragstone.store.passages import IndexedChunk
from ragstone.types import ChunkKey, DocumentKey

WRITER_MEMORY_MB = 15
Opener = Callable[[], LexicalIndex]


@pytest.fixture(params=["tantivy"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Opens the index of this test, again and again; every implementation in turn."""
    assert request.param == "tantivy"
    last: list[LexicalIndex] = []

    def reopen() -> LexicalIndex:
        if last:
            last.pop().close()
        last.append(TantivyIndex(tmp_path / "index", "en", WRITER_MEMORY_MB))
        return last[0]

    yield reopen
    for index in last:
        index.close()


def chunk(key: int, document_key: int, text: str, heading: str = "") -> IndexedChunk:
    """A chunk of a document."""
    return IndexedChunk(ChunkKey(key), DocumentKey(document_key), heading, text)


def put(index: LexicalIndex, document_key: int, *texts: str) -> None:
    """One document in place of what it had, committed; chunk n of document d has the key 10 d + n."""
    chunks = [chunk(10 * document_key + at, document_key, text) for at, text in enumerate(texts)]
    index.apply([DocumentKey(document_key)], chunks)
    index.commit()


def keys_of(index: LexicalIndex, query: str, limit: int = 50, allowed: set[int] | None = None) -> list[int]:
    """Keys of the candidates, in order."""
    return [int(candidate.key) for candidate in index.search(query, limit, allowed)]


def test_words_are_found_after_the_commit(opened: Opener) -> None:
    """What was applied is invisible before the commit and found after it."""
    index = opened()
    index.apply([], [chunk(10, 1, "The heron waits.")])
    assert keys_of(index, "heron") == []

    index.commit()

    assert keys_of(index, "heron") == [10]
    assert keys_of(index, "stork") == []


def test_the_best_match_comes_first(opened: Opener) -> None:
    """More of the question's rare words, a higher score; scores fall along the list."""
    index = opened()
    put(index, 1, "heron river", "heron", "river stone wall and more words about other things")

    found = index.search("heron river", 10, None)

    assert found[0].key == 10
    scores = [candidate.score for candidate in found]
    assert scores == sorted(scores, reverse=True)


def test_headings_are_searched(opened: Opener) -> None:
    """A chunk is found by the words above it."""
    index = opened()
    index.apply([], [chunk(10, 1, "They wait.", heading="Birds > Herons")])
    index.commit()

    assert keys_of(index, "herons") == [10]


@pytest.mark.parametrize("limit", [1, 3, 8, 20])
def test_ties_go_by_key(opened: Opener, limit: int) -> None:
    """Equal chunks come back in the order of their keys, however and in how many commits they came."""
    index = opened()
    for key in (7, 3, 11, 5, 2, 13):
        index.apply([], [chunk(key, key, "heron")])
        index.commit()

    found = keys_of(index, "heron", limit)

    assert found == sorted(found)
    assert len(found) == min(limit, 6)


def test_replaced_and_removed_documents_are_not_found(opened: Opener) -> None:
    """After the commit only the new words answer; a removed document has none."""
    index = opened()
    put(index, 1, "old heron", "old stork")
    put(index, 2, "neighbour")

    put(index, 1, "new crane")
    assert keys_of(index, "old heron stork") == []
    assert keys_of(index, "crane") == [10]

    put(index, 1)
    assert keys_of(index, "crane") == []
    assert keys_of(index, "neighbour") == [20]


def test_applying_twice_changes_nothing(opened: Opener) -> None:
    """The same change applied again leaves one copy."""
    index = opened()
    for _ in range(2):
        put(index, 1, "heron", "stork")

    assert keys_of(index, "heron stork") == [10, 11]


def test_only_allowed_documents_come_back(opened: Opener) -> None:
    """A set of document keys narrows the search and leaves scores as they are; an empty set allows none."""
    index = opened()
    for document_key in (1, 2, 3):
        put(index, document_key, "heron " * document_key)

    everything = {candidate.key: candidate.score for candidate in index.search("heron", 10, None)}
    narrowed = {candidate.key: candidate.score for candidate in index.search("heron", 10, {1, 3, 99})}

    assert narrowed == {key: score for key, score in everything.items() if key != 20}
    assert keys_of(index, "heron", allowed=set()) == []


def test_limits_are_kept(opened: Opener) -> None:
    """Zero gives nothing, more than there are gives all."""
    index = opened()
    put(index, 1, "heron", "heron", "heron")

    assert [len(keys_of(index, "heron", limit)) for limit in (0, 1, 3, 100)] == [0, 1, 3, 3]


def test_a_committed_change_survives_reopening(opened: Opener) -> None:
    """What was committed is there again, what was not is gone, and writing goes on."""
    index = opened()
    put(index, 1, "heron")
    index.apply([], [chunk(99, 9, "heron uncommitted")])

    index = opened()

    assert keys_of(index, "heron") == [10]
    put(index, 2, "heron")
    assert keys_of(index, "heron") == [10, 20]


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("Set max_retry_count now.", "max_retry_count"),
        ("rewritten in C# last year", "c#"),
        ("see ISSUE-1234", "issue-1234"),
        ("圖書館在星期一休息", "圖書館"),
        ("東京都の図書館", "図書館"),
        ("The keepers lived there.", "keeper living"),
        ("To be, or not to be", "to be or not to be"),
        ("ﬁne Ｆｕｌｌｗｉｄｔｈ", "fine fullwidth"),
    ],
)
def test_identifiers_scripts_and_inflections_are_found(opened: Opener, text: str, query: str) -> None:
    """Identifiers whole, CJK words by their characters, prose by its stems, stop words when alone."""
    index = opened()
    put(index, 1, text, "something else entirely")

    assert keys_of(index, query)[0] == 10


@pytest.mark.parametrize("query", ["", "  ", "!?", '"unclosed', "a AND (b", "exact:x", "*", "\x00", "🦀"])
def test_no_query_is_a_syntax_error(opened: Opener, query: str) -> None:
    """Whatever people type is looked for, not parsed; what holds no word finds nothing."""
    index = opened()
    put(index, 1, "heron")

    assert keys_of(index, query) == []


def test_a_long_set_of_allowed_documents_is_taken(opened: Opener) -> None:
    """Filters that let tens of thousands of documents through are pushed down like any other."""
    index = opened()
    put(index, 1, "heron")

    assert keys_of(index, "heron", allowed=set(range(50_000))) == [10]


def test_files_that_are_no_index_are_a_failure(tmp_path: Path) -> None:
    """Damage is reported as such; beginning again works."""
    folder = tmp_path / "index"
    index = TantivyIndex(folder, "en", WRITER_MEMORY_MB)
    index.apply([], [chunk(1, 1, "heron")])
    index.commit()
    index.close()
    del index
    (folder / "meta.json").write_text("{ not json")

    with pytest.raises(IndexFailed, match="lexical index"):
        TantivyIndex(folder, "en", WRITER_MEMORY_MB)

    fresh = TantivyIndex.rebuilt_empty(folder, "en", WRITER_MEMORY_MB)
    assert fresh.size == 0
    fresh.close()
