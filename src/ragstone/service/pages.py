"""Lists in pages: a cursor says where the last page ended."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import get_args

from ragstone.errors import InvalidRequest
from ragstone.store.listing import Position, SortKey
from ragstone.types import Document, Filter

LARGEST_PAGE = 200
LONGEST_KEY = 18
"""Digits; more would not fit a key."""
LONGEST_CURSOR = 4096
SORT_KEYS: tuple[SortKey, ...] = get_args(SortKey)


@dataclass(frozen=True, slots=True)
class DocumentQuery:
    """Which documents, in which order: a `SortKey`, from the highest down after a minus sign."""

    collection: str | None = None
    filter: Filter | None = None
    sort: str = "created_at"


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """Documents in the order asked for; `next_cursor` is None on the last page."""

    documents: tuple[Document, ...]
    next_cursor: str | None


def read_sort(text: str) -> tuple[SortKey, bool]:
    """What to sort by, and whether from the highest down.

    Raises:
        InvalidRequest: documents are not sorted by that.
    """
    name = text.removeprefix("-")
    for known in SORT_KEYS:
        if name == known:
            return known, text.startswith("-")
    raise InvalidRequest(
        f"Documents are not sorted by {text!r}; there are {', '.join(SORT_KEYS)}, each with a minus sign "
        "before it for the highest first.",
        sort=text,
    )


def read_cursor(cursor: str | None, sort: SortKey = "created_at") -> Position | None:
    """Where a page begins.

    Raises:
        InvalidRequest: it is no cursor that this server gave for this order.
    """
    if cursor is None:
        return None
    if sort == "created_at":
        if cursor.isdecimal() and len(cursor) <= LONGEST_KEY:
            return Position(int(cursor), int(cursor))
        raise _foreign(cursor)
    try:
        if len(cursor) > LONGEST_CURSOR:
            raise _foreign(cursor[:80])
        order, value, key = json.loads(base64.urlsafe_b64decode(cursor.encode()))
    except ValueError as error:
        raise _foreign(cursor[:80]) from error
    is_value = isinstance(value, str) if sort in ("updated_at", "title") else _is_number(value)
    if order != sort or not is_value or not _is_number(key):
        raise _foreign(cursor[:80])
    return Position(value, key)


def _is_number(value: object) -> bool:
    """Whether it is an integer that a column holds."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**LONGEST_KEY


def write_cursor(position: Position, sort: SortKey) -> str:
    """What leads to the documents after `position`."""
    if sort == "created_at":
        return str(position.key)
    return base64.urlsafe_b64encode(json.dumps([sort, position.value, position.key]).encode()).decode()


def _foreign(cursor: str) -> InvalidRequest:
    return InvalidRequest(
        f"{cursor!r} is not a cursor for this order; use the next_cursor of the page before.", cursor=cursor
    )


def check_limit(limit: int) -> None:
    """Go on only when a page of this size may be asked for.

    Raises:
        InvalidRequest: it is out of range.
    """
    if not 1 <= limit <= LARGEST_PAGE:
        raise InvalidRequest(f"limit is {limit}; it must lie between 1 and {LARGEST_PAGE}.", limit=limit)
