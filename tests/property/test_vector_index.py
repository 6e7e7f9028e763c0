"""Whatever was added and removed, a search is a brute-force scan over the live rows."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, strategies as st

from ragstone.index.vector import FIRST_ROWS, SPLIT_BYTES, ExactVectorIndex, ParallelProducts
from ragstone.types import DocumentKey

DIM = 4
Live = dict[int, list[tuple[int, tuple[int, ...]]]]
"""Document key to its chunks: key and vector."""

# Small whole numbers: sums are exact, so ties are ties in every order of addition.
vectors = st.tuples(*[st.integers(-1, 1)] * DIM)
changes = st.lists(
    st.tuples(
        st.integers(1, 6), st.one_of(st.lists(vectors, max_size=6), st.just([(1, 0, 0, 0)] * FIRST_ROWS))
    ),
    max_size=12,
)


@given(steps=changes, query=vectors, limit=st.integers(0, 40), allowed=st.none() | st.sets(st.integers(1, 8)))
@example([(1, [(1, 0, 0, 0)] * FIRST_ROWS), (2, [(1, 1, 0, 0)] * 3), (1, [])], (1, 0, 0, 0), 5, None)
@example([(1, [(1, 0, 0, 0)] * FIRST_ROWS * 3), (1, []), (1, [(0, 1, 0, 0)])], (1, 0, 0, 0), 5, {1})
def test_search_equals_brute_force(
    steps: list[tuple[int, list[tuple[int, ...]]]],
    query: tuple[int, ...],
    limit: int,
    allowed: set[int] | None,
) -> None:
    """Growth, replacement, removal and compaction leave order, ties, scores and counts right."""
    index = ExactVectorIndex(DIM)
    live: Live = {}
    next_key = 1000

    for document_key, rows in steps:
        # Keys fall, so that the order of rows is not the order of keys.
        keys = [next_key - at for at in range(len(rows))]
        next_key -= len(rows)
        index.apply(
            [DocumentKey(document_key)],
            np.array(rows, np.float32).reshape(-1, DIM),
            keys,
            [document_key] * len(keys),
        )
        live[document_key] = list(zip(keys, rows, strict=True))
    found = index.search(np.array(query, np.float32), limit, allowed)

    chunks = [
        chunk for document, held in live.items() if allowed is None or document in allowed for chunk in held
    ]
    expected = sorted((-sum(a * b for a, b in zip(row, query, strict=True)), key) for key, row in chunks)
    assert [(-candidate.score, candidate.key) for candidate in found] == expected[:limit]
    assert index.keys() == {key for held in live.values() for key, _ in held}
    assert index.size == sum(map(len, live.values()))


def test_a_view_taken_before_a_change_stays_as_it_was() -> None:
    """A search that began before an `apply` is not disturbed: rows are never overwritten, even by growth."""
    index = ExactVectorIndex(DIM)
    rows = np.eye(DIM, dtype=np.float32)
    index.apply([], rows, [1, 2, 3, 4], [1, 1, 2, 2])
    before = index._view
    copied = before.matrix.copy(), before.keys.copy(), before.is_live.copy()

    index.apply(
        [DocumentKey(1)],
        np.tile(rows[0], (FIRST_ROWS * 2, 1)),
        range(10, 10 + FIRST_ROWS * 2),
        [3] * FIRST_ROWS * 2,
    )
    index.apply([DocumentKey(3)], index.no_rows(), [], [])

    for kept, was in zip((before.matrix, before.keys, before.is_live), copied, strict=True):
        np.testing.assert_array_equal(kept, was)


@given(
    rows=st.sampled_from([0, 1, SPLIT_BYTES // 16 - 1, SPLIT_BYTES // 16, SPLIT_BYTES // 16 + 7]),
    threads=st.integers(1, 5),
)
def test_products_over_several_threads_are_products(rows: int, threads: int) -> None:
    """Each row's product stands at its place, however the rows were divided."""
    matrix = (np.arange(rows * DIM, dtype=np.float32) % 7).reshape(rows, DIM)
    vector = np.array([1, 2, 3, 4], np.float32)
    products = ParallelProducts(threads)

    found = products(matrix, vector)
    products.close()

    assert np.array_equal(found, matrix @ vector)
