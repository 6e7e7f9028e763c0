"""Sources over a store of their own, with an intake that stores without a model."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.corpus import Parts, document, open_parts
from tests.support.failures import Failures
from tests.support.site import Site, running_site

from ragstone.errors import BrokenDocument, RagstoneError
from ragstone.ingest.request import IngestRequest
from ragstone.ingest.sources.catalogue import FolderEntry
from ragstone.ingest.sources.ports import Listed, Source, SourceItem
from ragstone.ingest.sources.sync import Sync, SyncLimits, Tally
from ragstone.net.fakes import TableResolver
from ragstone.net.fetch import Fetcher, FetchLimits
from ragstone.net.guard import AddressGuard, FetchRules
from ragstone.store.collections import find_collections
from ragstone.store.documents import edit_document, find_by_id, find_by_source, put_document, remove_document
from ragstone.store.sources import KnownItem, known_items
from ragstone.types import DEFAULT_TENANT, DocumentId, Principal, RawFile, Written

WHO = Principal(DEFAULT_TENANT)


class StoreIntake:
    """Stores a document's text as it is; `broken` and `failing` texts are refused or fail."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.submitted: list[IngestRequest] = []
        self.removed: list[DocumentId] = []
        self.failing: RagstoneError | None = None
        self.on_submit: Callable[[], None] | None = None
        self.on_stored: Callable[[], None] | None = None

    async def submit(self, request: IngestRequest) -> Written:
        """Store it, or move the document that it names."""
        if self.on_submit is not None:
            self.on_submit()
        written = await self._store(request)
        if self.on_stored is not None:
            self.on_stored()
        return written

    async def _store(self, request: IngestRequest) -> Written:
        self.submitted.append(request)
        if self.failing is not None:
            raise self.failing
        text = request.file.content.decode()
        if "broken" in text:
            raise BrokenDocument("This cannot be read.")
        database = self.parts.database
        async with database.read() as connection:
            found = await find_collections(connection, DEFAULT_TENANT, (request.collection,))
        collection = found[0] if found else await self.parts.create(request.collection)
        async with self.parts.writer.change() as change:
            if request.document_id is not None:
                old = await find_by_id(change.connection, WHO, request.document_id)
                assert old is not None
                await edit_document(
                    change.connection, old.key, old.title, request.metadata or {}, request.source
                )
                change.touch(collection.id, [old.key])
                return Written("updated", old.id, old.version, 1, collection.name, 0)
            old = await find_by_source(change.connection, collection.id, str(request.source))
            new = document(
                text,
                document_id=None if old is None else old.id,
                source=request.source,
                metadata=dict(request.metadata or {}),
            )
            key, version = await put_document(change.connection, collection.id, new, old)
            change.touch(collection.id, [key])
        return Written("added" if old is None else "replaced", new.id, version, 1, collection.name, 0)

    async def remove(self, document_id: DocumentId) -> None:
        """Remove it."""
        self.removed.append(document_id)
        async with self.parts.writer.change() as change:
            old = await find_by_id(change.connection, WHO, document_id)
            if old is not None:
                await remove_document(change.connection, old.key)
                change.touch(old.collection_id, [old.key])


@dataclass
class ListedSource:
    """A source that lists what a test says: texts by uri, then whatever else."""

    texts: dict[str, str] = field(default_factory=dict)
    others: Sequence[Listed] = ()
    failure: RagstoneError | None = None
    finds_moves: bool = True
    loaded: list[str] = field(default_factory=list)
    known: Mapping[str, KnownItem] = field(default_factory=dict)

    async def items(self, known: Mapping[str, KnownItem]) -> AsyncGenerator[Listed, None]:
        """The texts, fingerprinted by their content."""
        self.known = known
        for uri, text in list(self.texts.items()):
            yield SourceItem(uri, hashlib.md5(text.encode()).hexdigest(), self._loader(uri, text))
        for other in self.others:
            yield other
        if self.failure is not None:
            raise self.failure

    def _loader(self, uri: str, text: str):  # type: ignore[no-untyped-def]
        async def load() -> RawFile:
            self.loaded.append(uri)
            return RawFile(text.encode(), uri)

        return load


@dataclass
class Bench:
    """One source's syncs and what they leave."""

    intake: StoreIntake
    entry: FolderEntry = field(default_factory=lambda: FolderEntry(name="s", path=Path("/")))
    limits: SyncLimits = field(default_factory=SyncLimits)

    async def sync(self, source: Source, *, is_forced: bool = False) -> Tally:
        """One sync."""
        sync = Sync(self.intake.parts.database, self.intake, self.entry, self.limits, Failures())
        return await sync.run(source, is_forced=is_forced)

    async def rows(self) -> dict[str, KnownItem]:
        """What is stored of the source."""
        async with self.intake.parts.database.read() as connection:
            rows = await known_items(connection, DEFAULT_TENANT, self.entry.name)
        return {row.uri: row for row in rows}

    async def sources(self, collection: str = "default") -> dict[str, str]:
        """The ids of the documents that are there, by source."""
        from ragstone.store.listing import Listing, list_documents

        async with self.intake.parts.database.read() as connection:
            found = await find_collections(connection, DEFAULT_TENANT, (collection,))
            listing = Listing(found[0].id if found else None, limit=1000)
            documents = await list_documents(connection, WHO, listing)
        return {str(one.source): one.id for one, _ in documents}


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A source without documents."""
    async with open_parts(tmp_path / "home") as parts:
        await parts.create("default")
        yield Bench(StoreIntake(parts))


@pytest.fixture
def site() -> Iterator[Site]:
    """An empty site."""
    with running_site() as site:
        yield site


@pytest.fixture
async def fetcher(site: Site) -> AsyncIterator[Fetcher]:
    """A fetcher that is let into the site."""
    rules = FetchRules((ipaddress.ip_network("127.0.0.0/8"),), ports=frozenset({80, 443, site.port}))
    guard = AddressGuard(TableResolver({}), rules)
    fetcher = Fetcher(guard, FetchLimits(max_bytes=1_000_000, timeout_s=30.0))
    yield fetcher
    await fetcher.aclose()
