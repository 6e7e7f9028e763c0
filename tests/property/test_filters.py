"""Filters in SQL mean what the reference in Python means, whatever the metadata."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import example, given, strategies as st
from sqlalchemy import delete
from tests.support.corpus import collection_named, document, store_collection

from ragstone.errors import InvalidFilter
from ragstone.settings import StoreSettings
from ragstone.store.database import Database, open_database
from ragstone.store.documents import put_document
from ragstone.store.passages import matching_documents
from ragstone.store.tables import documents
from ragstone.store.visibility import matches
from ragstone.types import LOCAL_OWNER, Collection, Combine, Compare, Filter, JsonValue, Metadata

KEYS = ("a", "b", "deep.er", "deep.est", "it's", "[0]", "a b", "ключ", "$title", "$source")
ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
TITLES = ("", "Atlas", "atlas", "5", "Ünder")

strings = st.sampled_from(["", "x", "X", "5", "true", "null", "ü", "漢", "🦀", "a'b", 'a"b', "[]"])
numbers = st.one_of(
    st.integers(-3, 6),
    st.sampled_from([0.5, -1.5, 5.0, 1e300, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 10**30]),
)
scalars = st.one_of(strings, numbers, st.booleans())
values = st.one_of(scalars, st.none(), st.lists(scalars, max_size=2))
metadata: st.SearchStrategy[dict[str, JsonValue]] = st.fixed_dictionaries(
    {},
    optional={
        **{key: values for key in KEYS if "." not in key and not key.startswith("$")},
        "deep": st.one_of(
            values, st.fixed_dictionaries({}, optional={"er": values, "est": values}), st.just({"er": {}})
        ),
    },
)
comparisons = st.one_of(
    st.builds(
        Compare, st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte"]), st.sampled_from(KEYS), scalars
    ),
    st.builds(Compare, st.sampled_from(["in", "nin"]), st.sampled_from(KEYS), st.lists(scalars, max_size=3)),
    st.builds(Compare, st.just("exists"), st.sampled_from(KEYS), st.booleans()),
)
filters = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds(
            Combine, st.sampled_from(["and", "or"]), st.lists(inner, min_size=1, max_size=3).map(tuple)
        ),
        st.builds(Combine, st.just("not"), st.tuples(inner)),
    ),
    max_leaves=6,
)
shelves = st.lists(st.tuples(st.sampled_from(TITLES), metadata), min_size=1, max_size=4)


def holds(filter_: Filter, title: str, stored: Metadata) -> bool:
    """The grammar's meaning: a value is compared with values of its own kind only; null is missing."""
    if isinstance(filter_, Combine):
        parts = [holds(part, title, stored) for part in filter_.filters]
        if filter_.op == "not":
            return not parts[0]
        return all(parts) if filter_.op == "and" else any(parts)
    found = value_at(filter_.key, title, stored)
    match filter_.op:
        case "exists":
            return (found is not None) == filter_.value
        case "eq":
            return is_equal(found, filter_.value)
        case "ne":
            return not is_equal(found, filter_.value)
        case "in" | "nin":
            assert isinstance(filter_.value, list)
            return any(is_equal(found, wanted) for wanted in filter_.value) == (filter_.op == "in")
        case _:
            return kind(found) == kind(filter_.value) != "other" and ORDER[filter_.op](
                comparable(found), comparable(filter_.value)
            )


def value_at(key: str, title: str, stored: Metadata) -> JsonValue:
    """The value that a key names; None where there is none."""
    if key.startswith("$"):
        return {"$title": title, "$source": None}[key]
    found: JsonValue = stored
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def is_equal(found: JsonValue, wanted: JsonValue) -> bool:
    """Equal and of one kind: 1 is not true, "5" is not 5."""
    return kind(found) == kind(wanted) != "other" and comparable(found) == comparable(wanted)


def kind(value: JsonValue) -> str:
    """What a value can be compared with."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else "other"


def comparable(value: JsonValue) -> object:
    """Strings compare by code point; an integer beyond 64 bits is kept as floating point."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return float(value)
    return value


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    """A loop of its own, on which the examples run one after the other."""
    with start_blocking_portal("asyncio") as portal:
        yield portal


@pytest.fixture(scope="module")
def shelf(portal: BlockingPortal) -> Iterator[tuple[Database, Collection]]:
    """One database for all examples; each one begins without documents."""
    with TemporaryDirectory() as folder:
        database = portal.call(open_database, Path(folder) / "a.db", StoreSettings())
        collection = portal.call(stored, database)
        yield database, collection
        portal.call(database.aclose)


@given(shelf_of=shelves, filter_=filters)
@example([("", {"a": "abc"})], Compare("gt", "a", 5))
@example([("", {"a": 5})], Compare("lt", "a", "abc"))
@example([("", {"a": True})], Compare("eq", "a", 1))
@example([("", {"a": 1})], Compare("eq", "a", True))
@example([("", {"a": ["x"]})], Compare("eq", "a", '["x"]'))
@example([("", {"ключ": 1})], Compare("eq", "ключ", 1))
@example([("", {r"back\slash": 2})], Compare("eq", r"back\slash", 2))
@example([("5", {})], Compare("eq", "$title", 5))
@example([("", {"a": 5})], Compare("lt", "a", 10**30))
def test_sql_filters_agree_with_the_reference(
    portal: BlockingPortal,
    shelf: tuple[Database, Collection],
    shelf_of: list[tuple[str, Metadata]],
    filter_: Filter,
) -> None:
    """Exactly the documents come back for which the filter holds."""
    expected = {at for at, (title, stored) in enumerate(shelf_of) if holds(filter_, title, stored)}

    assert portal.call(matched, *shelf, shelf_of, filter_) == expected


async def stored(database: Database) -> Collection:
    """The collection of the examples."""
    async with database.write() as connection:
        return await store_collection(connection, collection_named("books"))


async def matched(
    database: Database, collection: Collection, shelf_of: list[tuple[str, Metadata]], filter_: Filter
) -> set[int]:
    """Positions of the documents that the filter lets through."""
    async with database.write() as connection:
        await connection.execute(delete(documents))
        keys = []
        for title, stored in shelf_of:
            new = document("text", title=title, metadata=stored)
            keys.append((await put_document(connection, collection.id, new, None))[0])
        found = await matching_documents(connection, LOCAL_OWNER, collection.id, filter_)
    return {keys.index(key) for key in keys if key in found}


@pytest.mark.parametrize("value", [None, ["x"], {"a": 1}, "\ud800", float("nan"), float("inf"), 10**400])
def test_what_cannot_be_compared_is_refused(value: JsonValue) -> None:
    """Null, lists, objects, half a character and what is no finite number are named in the error."""
    with pytest.raises(InvalidFilter, match="'a' is compared with"):
        matches(Compare("eq", "a", value))


def test_a_key_with_a_quotation_mark_is_refused() -> None:
    """SQLite has no path for it; saying so beats finding nothing."""
    with pytest.raises(InvalidFilter, match="quotation mark"):
        matches(Compare("eq", 'a"b', 1))
