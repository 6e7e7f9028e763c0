"""The visibility predicate and the metadata filters, as SQL: every read of text goes through them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from sqlalchemy import BindParameter, ColumnElement, and_, bindparam, exists, false, func, literal, not_, or_

from ragstone.errors import InvalidFilter, no_such
from ragstone.store.tables import document_groups, documents
from ragstone.types import Combine, Compare, Filter, JsonValue, Principal

BUILT_IN: Mapping[str, ColumnElement[str]] = {
    "$document_id": documents.c.id,
    "$title": documents.c.title,
    "$source": documents.c.source,
    "$media_type": documents.c.media_type,
    "$language": documents.c.language,
}
"""Keys that name the document itself instead of its metadata."""


LARGEST_INTEGER = 2**63
"""Beyond it SQLite compares floating point."""

Reach = Literal["tenant", "ungrouped", "grouped"]
"""Whose documents a principal sees: all of its tenant, those without groups, or those and its groups'."""


def reach(principal: Principal) -> Reach:
    """The shape of the predicate for `principal`."""
    if principal.access_groups is None:
        return "tenant"
    return "grouped" if principal.access_groups else "ungrouped"


def is_visible(principal: Principal) -> ColumnElement[bool]:
    """True for documents that `principal` may read; rows are live by existing."""
    return _within(reach(principal), principal.tenant_id, sorted(principal.access_groups or ()))


def is_within(reach: Reach) -> ColumnElement[bool]:
    """The same with parameters left open, for statements that are built once."""
    return _within(reach, bindparam("tenant_id"), bindparam("access_groups", expanding=True))


def _within(
    reach: Reach, tenant_id: str | BindParameter[str], groups: Sequence[str] | BindParameter[Sequence[str]]
) -> ColumnElement[bool]:
    own = documents.c.tenant_id == tenant_id
    if reach == "tenant":
        return own
    if reach == "ungrouped":
        return and_(own, not_(documents.c.is_restricted))
    granted = exists().where(
        document_groups.c.document_key == documents.c.key,
        document_groups.c.access_group.in_(groups),
    )
    return and_(own, or_(not_(documents.c.is_restricted), granted))


def visibility_parameters(principal: Principal) -> dict[str, object]:
    """The values for `is_within`."""
    tenant: dict[str, object] = {"tenant_id": principal.tenant_id}
    if principal.access_groups:
        tenant["access_groups"] = sorted(principal.access_groups)
    return tenant


def matches(filter_: Filter) -> ColumnElement[bool]:
    """A filter as a condition on documents. A missing key matches `ne`, `nin` and `exists: false` only.

    Raises:
        InvalidFilter: a value that its operator cannot compare.
    """
    if isinstance(filter_, Combine):
        parts = [matches(part) for part in filter_.filters]
        if filter_.op == "not":
            return not_(parts[0])
        return and_(*parts) if filter_.op == "and" else or_(*parts)
    return _compare(filter_)


def _compare(compare: Compare) -> ColumnElement[bool]:
    if compare.op == "exists":
        return _present(compare.key) if compare.value is not False else not_(_present(compare.key))
    if compare.op in ("in", "nin"):
        values = compare.value if isinstance(compare.value, list | tuple) else None
        if values is None:
            raise InvalidFilter(
                f"{compare.op} on {compare.key!r} needs a list of values, not {compare.value!r}."
            )
        found = or_(false(), *(_known(compare.key, value, _OPERATORS["eq"]) for value in values))
        return found if compare.op == "in" else not_(found)
    if compare.op == "ne":
        return not_(_known(compare.key, compare.value, _OPERATORS["eq"]))
    return _known(compare.key, compare.value, _OPERATORS[compare.op])


Operator = Callable[[ColumnElement[str], object], ColumnElement[bool]]

_OPERATORS: Mapping[str, Operator] = {
    "eq": lambda column, value: column == value,
    "gt": lambda column, value: column > value,
    "gte": lambda column, value: column >= value,
    "lt": lambda column, value: column < value,
    "lte": lambda column, value: column <= value,
}


def _known(key: str, value: JsonValue, operator: Operator) -> ColumnElement[bool]:
    """The comparison, false (not NULL) where the key is missing or its value of another kind.

    Without the kind SQLite would order every string above every number, and take 1 for true.
    """
    kinds, bound = _kinds_and_bound(key, value)
    if key in BUILT_IN:
        column = BUILT_IN[key]
        return and_(column.is_not(None), operator(column, bound)) if "text" in kinds else false()
    path = _path(key)
    extracted: ColumnElement[str] = func.json_extract(documents.c.metadata, path)
    return and_(_kind_at(path).in_(kinds), operator(extracted, literal(bound)))


def value_of(key: str) -> ColumnElement[str]:
    """What a document has under a key, as text; NULL where it has nothing."""
    if key in BUILT_IN:
        return BUILT_IN[key]
    found: ColumnElement[str] = func.json_extract(documents.c.metadata, _path(key))
    return found


def _kinds_and_bound(key: str, value: JsonValue) -> tuple[tuple[str, ...], str | int | float]:
    """SQLite's names for the kind of `value`, and what stands for it in a statement."""
    if isinstance(value, bool):
        return ("true", "false"), int(value)
    if isinstance(value, int | float):
        return ("integer", "real"), _number(key, value)
    if isinstance(value, str):
        if not _is_unicode(value):
            raise InvalidFilter(f"{key!r} is compared with {value!r}, which is not Unicode text.")
        return ("text",), value
    raise InvalidFilter(f"{key!r} is compared with {value!r}; use a string, a number or a boolean.")


def _number(key: str, value: float) -> float:
    if isinstance(value, int) and -LARGEST_INTEGER <= value < LARGEST_INTEGER:
        return value
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InvalidFilter(f"{key!r} is compared with a number that is not finite.")
    return number


def _present(key: str) -> ColumnElement[bool]:
    if key in BUILT_IN:
        return BUILT_IN[key].is_not(None)
    return _kind_at(_path(key)).not_in(("", "null"))


def _kind_at(path: str) -> ColumnElement[str]:
    """The kind of what lies at a path of the metadata; an empty string where nothing does."""
    return func.coalesce(func.json_type(documents.c.metadata, path), "")


def _path(key: str) -> str:
    """A JSON path, its labels escaped as in the stored JSON: SQLite before 3.45 compares them as bytes.

    Raises:
        InvalidFilter: the key begins as those do that name the document itself, and is none of them.
    """
    if key.startswith("$"):
        # As metadata it would lie nowhere, and `ne` would match every document.
        raise InvalidFilter(no_such(key, BUILT_IN))
    if '"' in key:
        raise InvalidFilter(f"{key!r} cannot be filtered on: it has a quotation mark.")
    return "$" + "".join(f'."{json.dumps(part)[1:-1]}"' for part in key.split("."))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
