"""Reading every quote again from the truth before it is shown: a citation that no longer holds is dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ragstone.store.reading import read_passage
from ragstone.types import Citation, Principal

if TYPE_CHECKING:
    from ragstone.store.database import Database


async def still_exact(
    database: Database, principal: Principal, citations: Sequence[Citation]
) -> list[Citation]:
    """The citations whose span still holds their quote, with the page and section of the very span."""
    exact: list[Citation] = []
    async with database.read() as connection:
        for citation in citations:
            passage = await read_passage(connection, principal, citation.document_id, citation.span)
            if passage is not None and passage.text == citation.quote:
                place = citation.section if not passage.section else passage.section
                exact.append(replace(citation, page=passage.page or citation.page, section=place))
    return exact
