"""Nobody reads another tenant's documents, or restricted ones without a granted group, by any way in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.corpus import collection_named, document, open_store, store_collection

from ragstone.store.chunk_figures import collection_figures, document_figures
from ragstone.store.database import Database, StoreConnection
from ragstone.store.documents import find_by_id, get_document, put_document, states_of
from ragstone.store.listing import Listing, list_documents
from ragstone.store.passages import (
    chunk_keys,
    find_chunk,
    hydrate,
    hydrated_by_key,
    matching_documents,
)
from ragstone.store.reading import read_around, read_passage
from ragstone.store.surroundings import surroundings
from ragstone.types import (
    ChunkKey,
    Collection,
    Compare,
    DocumentId,
    DocumentKey,
    Expansion,
    Principal,
    Span,
    TenantId,
)

pytestmark = pytest.mark.anyio
OURS, THEIRS = TenantId("ours"), TenantId("theirs")
ANY = Compare("exists", "$document_id")

PRINCIPALS = {
    "owner": (Principal(OURS, None), {"open", "staff", "board"}),
    "nobody": (Principal(OURS, frozenset()), {"open"}),
    "staff": (Principal(OURS, frozenset({"staff"})), {"open", "staff"}),
    "board": (Principal(OURS, frozenset({"board", "other"})), {"open", "staff", "board"}),
    "ungranted": (Principal(OURS, frozenset({"other"})), {"open"}),
    "foreign owner": (Principal(THEIRS, None), {"foreign"}),
    "foreign staff": (Principal(THEIRS, frozenset({"staff"})), {"foreign"}),
    "nowhere": (Principal(TenantId("nowhere"), None), set()),
}
GROUPS = {
    "open": None,
    "staff": frozenset({"staff", "board"}),
    "board": frozenset({"board"}),
    "closed to all": frozenset[str](),
}


@dataclass(frozen=True, slots=True)
class Shelf:
    """The documents of two tenants, with all their chunk keys."""

    database: Database
    collection: Collection
    foreign: Collection
    keys: dict[str, DocumentKey]


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[Shelf]:
    """One document per kind of access, and one of another tenant."""
    async with open_store(tmp_path / "a.db") as database:
        keys: dict[str, DocumentKey] = {}
        async with database.write() as connection:
            collection = await store_collection(connection, collection_named("books", OURS))
            foreign = await store_collection(connection, collection_named("books", THEIRS))
            for name, groups in GROUPS.items():
                new = document(f"text of {name}", document_id=name, tenant_id=OURS, access_groups=groups)
                keys[name], _ = await put_document(connection, collection.id, new, None)
            new = document("text of foreign", document_id="foreign", tenant_id=THEIRS)
            keys["foreign"], _ = await put_document(connection, foreign.id, new, None)
        yield Shelf(database, collection, foreign, keys)


@pytest.fixture(params=PRINCIPALS)
def reader(request: pytest.FixtureRequest) -> tuple[Principal, set[str]]:
    """Every kind of reader in turn, with the documents it may see; only owners see what is closed to all."""
    principal, visible = PRINCIPALS[request.param]
    return principal, visible | ({"closed to all"} if request.param == "owner" else set())


async def test_hydration_reads_visible_chunks_only(shelf: Shelf, reader: tuple[Principal, set[str]]) -> None:
    """Of all candidates, those of visible documents come back, whatever the index claims."""
    principal, visible = reader
    async with shelf.database.read() as connection:
        keys = await every_key(shelf, connection)

        hydrated = await hydrate(connection, principal, [shelf.collection.id, shelf.foreign.id], keys)

    assert {chunk.document_id for chunk in hydrated.chunks.values()} == visible


async def test_hydration_stays_inside_the_collections_asked_for(shelf: Shelf) -> None:
    """A candidate of another collection is not read, even by its owner."""
    owner = Principal(THEIRS, None)
    async with shelf.database.read() as connection:
        keys = [ChunkKey(key) for key in await chunk_keys(connection, shelf.foreign.id)]

        hydrated = await hydrate(connection, owner, [shelf.collection.id], keys)

    assert hydrated.chunks == {}


async def test_lists_hold_visible_documents_only(shelf: Shelf, reader: tuple[Principal, set[str]]) -> None:
    """In the list of all and in the list of a collection."""
    principal, visible = reader
    async with shelf.database.read() as connection:
        listed = await list_documents(connection, principal, Listing())
        of_ours = await list_documents(connection, principal, Listing(shelf.collection.id))

    assert {found.id for found, _ in listed} == visible
    assert {found.id for found, _ in of_ours} == visible - {"foreign"}


async def test_single_reads_find_visible_documents_only(
    shelf: Shelf, reader: tuple[Principal, set[str]]
) -> None:
    """By id, by chunk id and by passage, what is not visible does not exist."""
    principal, visible = reader
    async with shelf.database.read() as connection:
        for name in shelf.keys:
            is_seen = name in visible
            document_id = DocumentId(name)

            assert (await get_document(connection, principal, document_id) is not None) == is_seen
            assert (await find_by_id(connection, principal, document_id) is not None) == is_seen
            passage = await read_passage(connection, principal, document_id, Span(0, 99))
            assert (None if passage is None else passage.text) == (f"text of {name}" if is_seen else None)
            chunk_id = await chunk_id_of(shelf, name)
            assert (await find_chunk(connection, principal, chunk_id) is not None) == is_seen
            assert (await read_around(connection, principal, chunk_id, 9) is not None) == is_seen


@pytest.mark.parametrize("expansion", [Expansion(neighbours=3), Expansion(is_section=True)])
async def test_surroundings_are_read_of_visible_chunks_only(
    shelf: Shelf, reader: tuple[Principal, set[str]], expansion: Expansion
) -> None:
    """What stands around a chunk is no way past the predicate."""
    principal, visible = reader
    async with shelf.database.read() as connection:
        keys = await every_key(shelf, connection)

        found = await surroundings(connection, principal, keys, expansion)

    assert {around.text for around in found.values()} == {f"text of {name}" for name in visible}


async def test_figures_count_visible_chunks_only(shelf: Shelf, reader: tuple[Principal, set[str]]) -> None:
    """Not even how many chunks a hidden document has can be learnt."""
    principal, visible = reader
    async with shelf.database.read() as connection:
        of_ours = await collection_figures(connection, principal, shelf.collection.id)
        of_each = {
            name: await document_figures(connection, principal, DocumentId(name)) for name in shelf.keys
        }

    assert sum(of_ours.chunks_by_tokens.values()) == len(visible - {"foreign"})
    assert {name for name, figures in of_each.items() if figures.chunks_by_tokens} == visible


async def test_filters_match_visible_documents_only(shelf: Shelf, reader: tuple[Principal, set[str]]) -> None:
    """What is pushed into the legs, and what a removal by filter would take."""
    principal, visible = reader
    matched: set[int] = set()
    removable: set[str] = set()
    async with shelf.database.read() as connection:
        for collection in (shelf.collection, shelf.foreign):
            matched |= await matching_documents(connection, principal, collection.id, ANY)
            removable |= {state.id for state in await states_of(connection, principal, collection.id, ANY)}

    assert matched == {shelf.keys[name] for name in visible}
    assert removable == visible


async def every_key(shelf: Shelf, connection: StoreConnection) -> list[ChunkKey]:
    """Of all chunks of both tenants, read past the predicate."""
    return [
        ChunkKey(key)
        for collection in (shelf.collection, shelf.foreign)
        for key in await chunk_keys(connection, collection.id)
    ]


async def chunk_id_of(shelf: Shelf, name: str) -> str:
    """The id of the document's chunk, read past the predicate."""
    async with shelf.database.read() as connection:
        for chunk in (await hydrated_by_key(connection, await every_key(shelf, connection))).values():
            if chunk.document_id == name:
                return chunk.id
    raise LookupError(name)
