"""What every vector index promises."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from ragstone.index.ports import VectorIndex
from ragstone.index.vector import ExactVectorIndex
from ragstone.types import ChunkKey, DocumentKey, Matrix

AXES = np.eye(4, dtype=np.float32)
EAST, NORTH, UP, OUT = AXES


@pytest.fixture(params=[ExactVectorIndex])
def index(request: pytest.FixtureRequest) -> VectorIndex:
    """Every implementation in turn, for vectors of length 4."""
    made: VectorIndex = request.param(4)
    return made


def put(index: VectorIndex, document_key: int, keys: Sequence[int], matrix: Matrix) -> None:
    """One document in place of what it had."""
    index.apply([DocumentKey(document_key)], matrix, keys, [document_key] * len(keys))


def test_the_nearest_come_first(index: VectorIndex) -> None:
    """By cosine, highest first, with the cosine as score."""
    put(index, 1, [10, 11, 12], AXES[:3])
    query = np.array([0.6, 0.8, 0, 0], np.float32)

    found = index.search(query, 3, None)

    assert [candidate.key for candidate in found] == [11, 10, 12]
    assert [candidate.score for candidate in found] == pytest.approx([0.8, 0.6, 0.0])


@pytest.mark.parametrize("limit", [1, 3, 7, 20])
def test_ties_go_by_key_also_at_the_limit(index: VectorIndex, limit: int) -> None:
    """Of equal vectors the lowest keys come back, in order, however they were added."""
    keys = [7, 3, 19, 11, 5, 2, 13, 17]
    put(index, 1, keys, np.tile(EAST, (len(keys), 1)))
    put(index, 2, [1], np.stack([NORTH]))

    found = index.search(EAST, limit, None)

    assert [candidate.key for candidate in found] == [*sorted(keys), 1][:limit]


def test_replacing_and_removing_documents(index: VectorIndex) -> None:
    """A document's old chunks are gone with its new ones; a removed document has none."""
    put(index, 1, [10, 11], AXES[:2])
    put(index, 2, [20], AXES[2:3])

    put(index, 1, [12], AXES[3:])
    assert {candidate.key for candidate in index.search(EAST, 10, None)} == {12, 20}
    assert index.size == 2

    put(index, 2, [], np.empty((0, 4), np.float32))
    assert [candidate.key for candidate in index.search(UP, 10, None)] == [12]


def test_applying_twice_changes_nothing(index: VectorIndex) -> None:
    """The same change applied again leaves one copy."""
    for _ in range(2):
        put(index, 1, [10, 11], AXES[:2])

    assert index.size == 2
    assert [candidate.key for candidate in index.search(EAST, 10, None)] == [10, 11]


def test_only_allowed_documents_come_back(index: VectorIndex) -> None:
    """A set of document keys narrows the search; an empty set allows nothing; unknown keys do no harm."""
    put(index, 1, [10], np.stack([EAST]))
    put(index, 2, [20, 21], np.stack([EAST, NORTH]))
    put(index, 3, [30], np.stack([NORTH]))

    assert keys_of(index, {2, 99}) == [20, 21]
    assert keys_of(index, {1, 3}) == [10, 30]
    assert keys_of(index, set()) == []


def test_limits_are_kept(index: VectorIndex) -> None:
    """Zero gives nothing, one gives one, more than there are gives all; an empty index gives nothing."""
    assert index.search(EAST, 5, None) == []
    put(index, 1, [10, 11, 12], AXES[:3])

    assert [len(index.search(EAST, limit, None)) for limit in (0, 1, 2, 3, 100)] == [0, 1, 2, 3, 3]
    assert [len(index.search(EAST, limit, {1})) for limit in (0, 1, 100)] == [0, 1, 3]


def test_a_document_may_come_in_parts(index: VectorIndex) -> None:
    """A long document is applied in several batches; all of it goes at once."""
    put(index, 1, [10], np.stack([EAST]))
    index.apply([], np.stack([NORTH]), [11], [1])
    assert index.size == 2

    put(index, 1, [], np.empty((0, 4), np.float32))

    assert index.size == 0
    assert index.search(EAST, 5, None) == []


def keys_of(index: VectorIndex, allowed: set[int]) -> list[ChunkKey]:
    """Keys found near EAST among the allowed documents."""
    return [candidate.key for candidate in index.search(EAST, 10, allowed)]
