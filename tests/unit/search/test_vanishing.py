"""Collections that are dropped while a search is at work on them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ragstone.config import load
from ragstone.deadline import Deadline
from ragstone.errors import CollectionNotFound
from ragstone.ingest.request import IngestRequest, inline_file
from ragstone.models.fakes import HashEmbedder
from ragstone.runtime.engine import Engine, open_engine
from ragstone.types import SearchMode, SearchRequest, Vector

pytestmark = pytest.mark.anyio
WANTED = SearchRequest("heron", collections=("birds",), use_cache=False)


class Interrupted(HashEmbedder):
    """Does something once before it embeds a question."""

    first: Callable[[], Awaitable[object]] | None = None

    async def embed_query(self, text: str, deadline: Deadline) -> Vector:
        """As `HashEmbedder`."""
        first, self.first = self.first, None
        if first is not None:
            await first()
        return await super().embed_query(text, deadline)


async def add(engine: Engine, text: str) -> None:
    """A document into the collection, which is made when it is not there."""
    request = IngestRequest(inline_file(text, 100), "birds", title="Bird")
    await engine.documents.add(request, Deadline.never())


@pytest.mark.parametrize("mode", ["dense", "hybrid"])
async def test_a_collection_that_goes_is_not_found(tmp_path: Path, mode: SearchMode) -> None:
    """As if the search had come after it: no index is named that nobody can do anything about."""
    embedder = Interrupted()
    async with open_engine(load(tmp_path, environ={}), embedder) as engine:
        await add(engine, "The heron waits.")
        embedder.first = lambda: engine.collections.remove("birds")

        with pytest.raises(CollectionNotFound):
            await engine.search.search(replace(WANTED, mode=mode))


async def test_a_collection_that_comes_again_is_searched_as_it_is_then(tmp_path: Path) -> None:
    """Another one of the same name: nothing of the first is found."""
    embedder = Interrupted()
    async with open_engine(load(tmp_path, environ={}), embedder) as engine:
        await add(engine, "The heron waits.")

        async def again() -> None:
            await engine.collections.remove("birds")
            await engine.collections.create("birds")
            await add(engine, "The owl hoots.")

        embedder.first = again
        found = await engine.search.search(replace(WANTED, mode="dense"))

    assert [hit.text for hit in found.hits] == ["The owl hoots."]
    assert found.degraded == ()
