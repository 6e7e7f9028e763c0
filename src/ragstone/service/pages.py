"""Lists in pages: a cursor is the key of the last document seen."""

from __future__ import annotations

from dataclasses import dataclass

from ragstone.errors import InvalidRequest
from ragstone.types import Document

LARGEST_PAGE = 200
LONGEST_CURSOR = 18
"""Digits; more would not fit a key."""


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """Documents in the order they came in; `next_cursor` is None on the last page."""

    documents: tuple[Document, ...]
    next_cursor: str | None


def read_cursor(cursor: str | None) -> int:
    """The key after which a page begins.

    Raises:
        InvalidRequest: it is no cursor that this server gave.
    """
    if cursor is None:
        return 0
    if not cursor.isdecimal() or len(cursor) > LONGEST_CURSOR:
        raise InvalidRequest(
            f"{cursor!r} is not a cursor; use the next_cursor of the page before.", cursor=cursor
        )
    return int(cursor)


def check_limit(limit: int) -> None:
    """Go on only when a page of this size may be asked for.

    Raises:
        InvalidRequest: it is out of range.
    """
    if not 1 <= limit <= LARGEST_PAGE:
        raise InvalidRequest(f"limit is {limit}; it must lie between 1 and {LARGEST_PAGE}.", limit=limit)
