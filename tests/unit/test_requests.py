"""Reading what callers send: every mistake is named with what would be right."""

from __future__ import annotations

import pytest

from ragstone.entrypoints.requests import DEEPEST_FILTER, read_filter, read_metadata, search_request
from ragstone.errors import InvalidFilter, InvalidRequest
from ragstone.settings import Settings
from ragstone.types import Combine, Compare, SearchRequest, Weights

SETTINGS = Settings()
EQ = {"type": "eq", "key": "year", "value": 2024}


def nested(depth: int) -> dict[str, object]:
    """A filter inside `depth` negations."""
    found: dict[str, object] = dict(EQ)
    for _ in range(depth):
        found = {"type": "not", "filters": [found]}
    return found


def test_filters_are_read_into_trees() -> None:
    """Comparisons, lists, existence and combinations."""
    read = read_filter(
        {
            "type": "and",
            "filters": [
                EQ,
                {"type": "in", "key": "tag", "value": ["x", 1, True]},
                {"type": "or", "filters": [{"type": "exists", "key": "a.b"}]},
                {"type": "not", "filters": [{"type": "exists", "key": "a", "value": False}]},
            ],
        }
    )

    assert read == Combine(
        "and",
        (
            Compare("eq", "year", 2024),
            Compare("in", "tag", ["x", 1, True]),
            Combine("or", (Compare("exists", "a.b", True),)),
            Combine("not", (Compare("exists", "a", False),)),
        ),
    )


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        ("year", "a type, not 'year'"),
        ([EQ], "is an object"),
        ({}, "A filter needs a type, one of eq"),
        ({"type": "like", "key": "a", "value": 1}, "no filter type 'like'"),
        ({"type": ["eq"], "key": "a", "value": 1}, "no filter type"),
        ({"type": "eq", "value": 1}, "needs a key"),
        ({"type": "eq", "key": "", "value": 1}, "needs a key"),
        ({"type": "eq", "key": "a..b", "value": 1}, r"needs a key.*'a\.\.b'"),
        ({"type": "eq", "key": 5, "value": 1}, "needs a key"),
        ({"type": "eq", "key": "a"}, "no value"),
        ({"type": "eq", "key": "a", "value": None}, "'a' is compared with None"),
        ({"type": "gt", "key": "a", "value": [1]}, "'a' is compared with"),
        ({"type": "in", "key": "a", "value": "xyz"}, "list of values, not 'xyz'"),
        ({"type": "nin", "key": "a", "value": [None]}, "'a' is compared with None"),
        ({"type": "exists", "key": "a", "value": "yes"}, "true or false, not 'yes'"),
        ({"type": "and", "filters": []}, "non-empty list"),
        ({"type": "and", "filters": "eq"}, "non-empty list"),
        ({"type": "and"}, "non-empty list"),
        ({"type": "not", "filters": [EQ, EQ]}, "exactly one filter, not 2"),
        ({"type": "or", "filters": [EQ, 5]}, "an object with a type, not 5"),
        ({**EQ, "bonus": 1}, "has no 'bonus'"),
        ({"type": "and", "filters": [EQ], "key": "a"}, "has no 'key'"),
    ],
)
def test_a_wrong_filter_is_explained(wire: object, message: str) -> None:
    """The error shows what was sent and what there is."""
    with pytest.raises(InvalidFilter, match=message):
        read_filter(wire)


def test_filters_nest_so_deep_and_no_deeper() -> None:
    """A bound keeps statements within what the database takes."""
    read_filter(nested(DEEPEST_FILTER))

    with pytest.raises(InvalidFilter, match="flatten"):
        read_filter(nested(DEEPEST_FILTER + 1))


def test_a_request_takes_its_defaults_from_the_settings() -> None:
    """Only the query is needed."""
    assert search_request(SETTINGS, "herons") == SearchRequest(
        "herons", ("default",), "hybrid", SETTINGS.search.top_k, None, None
    )


def test_a_request_carries_what_was_asked() -> None:
    """Every field arrives; a leg that is not weighed has the weight 1."""
    request = search_request(
        SETTINGS, "herons", collections=["a", "b"], mode="dense", top_k=3, filters=EQ, weights={"dense": 2}
    )

    assert request == SearchRequest(
        "herons", ("a", "b"), "dense", 3, Compare("eq", "year", 2024), Weights(1.0, 2)
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mode": "psychic"}, "no mode 'psychic'; there are hybrid"),
        ({"top_k": 0}, "top_k is 0"),
        ({"top_k": 101}, "between 1 and 100"),
        ({"collections": []}, "collections is empty"),
        ({"weights": {"sparse": 1}}, "no leg 'sparse'"),
        ({"weights": {"dense": -1}}, "dense is -1"),
        ({"weights": {"lexical": 101}}, "between 0 and 100"),
        ({"weights": {"lexical": float("nan")}}, "lexical is nan"),
        ({"weights": {"lexical": 0, "dense": 0}}, "Both weights are 0"),
    ],
)
def test_a_wrong_request_is_explained(fields: dict[str, object], message: str) -> None:
    """Unknown and out of range, by name."""
    with pytest.raises(InvalidRequest, match=message):
        search_request(SETTINGS, "herons", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        (["a"], "is a JSON object"),
        ({"a": float("nan")}, "not JSON"),
        ({"a": {1, 2}}, "not JSON"),
        ({"a": "x" * 70_000}, r"at most 65536 .*limits\.metadata_max_bytes"),
        ({"a": ["half \ud800 a character"]}, "surrogates not allowed"),
        ({"half \udc00 a key": 1}, "surrogates not allowed"),
    ],
)
def test_wrong_metadata_is_explained(wire: object, message: str) -> None:
    """What could not be stored or shown again is refused at the door."""
    with pytest.raises(InvalidRequest, match=message):
        read_metadata(wire, SETTINGS)


def test_metadata_passes_as_it_is() -> None:
    """Nested values and any script."""
    wire = {"ключ": [1, {"a": None}], "emoji": "🦀"}

    assert read_metadata(wire, SETTINGS) == wire
