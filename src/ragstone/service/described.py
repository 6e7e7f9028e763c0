"""Documents without their texts, remembered for as long as nothing in the corpus changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec

from ragstone.cache.cache import Kind
from ragstone.cache.keys import DocumentKey, Reader, key_of
from ragstone.store.documents import get_document
from ragstone.types import Document, DocumentId, Metadata, Principal

if TYPE_CHECKING:
    from ragstone.cache.cache import Cache
    from ragstone.store.database import Database


def _decode(payload: bytes) -> Document:
    fields = msgspec.msgpack.decode(payload)
    fields["warnings"] = tuple(fields["warnings"])
    fields["metadata"] = cast("Metadata", fields["metadata"])
    return Document(**fields)


# In this process only: a change anywhere ends all of them, so that a tier behind would mostly hold old ones.
DESCRIBED: Kind[Document] = Kind("document", msgspec.msgpack.encode, _decode, keep="here")


class DescribedDocuments:
    """Looks documents up by their ids, at the version that the database is at."""

    def __init__(self, database: Database, cache: Cache) -> None:
        self._database = database
        self._cache = cache

    async def get(self, document_id: DocumentId, principal: Principal) -> Document | None:
        """The live document if `principal` may see it, after every acknowledged change."""
        if not self._cache.is_on(DESCRIBED.name):
            return await self._read(document_id, principal)
        before = await self._database.corpus_state()
        reader = Reader.of(before.epoch, principal)
        key = key_of(DESCRIBED.name, DocumentKey(reader, document_id, before.version))
        found = await self._cache.get(DESCRIBED, key)
        if found is None:
            found = await self._read(document_id, principal)
            # What changed while it was read belongs to another key.
            if found is not None and await self._database.corpus_state() == before:
                self._cache.put(DESCRIBED, key, found)
        return found

    async def _read(self, document_id: DocumentId, principal: Principal) -> Document | None:
        async with self._database.read() as connection:
            return await get_document(connection, principal, document_id)
