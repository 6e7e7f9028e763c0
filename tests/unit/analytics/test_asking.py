"""A request is kept so that it can be asked again, word by word."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ragstone.analytics.asking import LONGEST_CHARS, Asking, Kind, asking_json, read_asking
from ragstone.types import Combine, Compare, Expansion, Filter, Principal, SearchRequest, TenantId, Weights

SCALARS = st.one_of(st.text(max_size=5), st.integers(-9, 9), st.booleans())
COMPARES = st.one_of(
    st.builds(Compare, st.sampled_from(["eq", "ne", "gt", "lte"]), st.text(min_size=1, max_size=5), SCALARS),
    st.builds(Compare, st.just("in"), st.just("tag"), st.lists(SCALARS, max_size=3)),
)
FILTERS: st.SearchStrategy[Filter] = st.recursive(
    COMPARES,
    lambda parts: st.builds(
        Combine, st.sampled_from(["and", "or"]), st.lists(parts, min_size=1, max_size=3).map(tuple)
    ),
    max_leaves=5,
)
PRINCIPAL = Principal(TenantId("acme"), frozenset({"hr", "legal"}))
REQUESTS = st.builds(
    SearchRequest,
    query=st.just("Who is it?"),
    collections=st.lists(st.sampled_from(["a", "b-1", "default"]), min_size=1, unique=True).map(tuple),
    mode=st.sampled_from(["hybrid", "lexical", "dense"]),
    top_k=st.integers(1, 100),
    filters=st.none() | FILTERS,
    weights=st.none() | st.builds(Weights, st.floats(0, 100), st.floats(0, 100)),
    fusion=st.sampled_from([None, "rrf", "score"]),
    principal=st.just(PRINCIPAL),
    expand=st.none() | st.builds(Expansion, st.integers(0, 10), st.booleans()),
)


@given(st.sampled_from(["search", "ask"]), REQUESTS, st.none() | st.floats(0, 2))
def test_what_is_read_is_what_was_written(
    kind: Kind, request: SearchRequest, temperature: float | None
) -> None:
    """Every field that may change the result comes back."""
    asking = Asking(kind, request, temperature)

    text = asking_json(asking)

    assert text is not None
    assert read_asking(text, request.query, PRINCIPAL) == asking


def test_a_request_that_is_too_long_is_not_kept() -> None:
    """Its question is counted all the same; it just cannot be warmed."""
    filters = Compare("in", "id", ["x" * 40] * (LONGEST_CHARS // 40))

    assert asking_json(Asking("search", SearchRequest("q", filters=filters))) is None


@pytest.mark.parametrize("text", ["{}", "[]", '{"kind": "search", "collections": 1}', "not json"])
def test_what_another_version_wrote_is_a_value_error(text: str) -> None:
    """The warmer skips it."""
    with pytest.raises(ValueError, match=r"version|Expecting"):
        read_asking(text, "q", PRINCIPAL)
