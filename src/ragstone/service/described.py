"""Documents without their texts, remembered for as long as nothing in the corpus changes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from ragstone.cache.cache import Kind
from ragstone.cache.keys import DescribedKey, Reader, key_of
from ragstone.store.documents import find_by_id, get_document
from ragstone.types import Document, DocumentId, Principal

if TYPE_CHECKING:
    from ragstone.cache.cache import Cache
    from ragstone.store.database import Database


def _encode(document: Document) -> bytes:
    # Metadata is any JSON: whole numbers of any size, too.
    return msgspec.msgpack.encode((replace(document, metadata={}), json.dumps(document.metadata)))


def _decode(payload: bytes) -> Document:
    fields, metadata = msgspec.msgpack.decode(payload)
    fields["warnings"] = tuple(fields["warnings"])
    fields["metadata"] = json.loads(metadata)
    return Document(**fields)


# In this process only: a change anywhere ends all of them, so that a tier behind would mostly hold old ones.
DESCRIBED: Kind[Document] = Kind("document", _encode, _decode, keep="here")


class DescribedDocuments:
    """Looks documents up by their ids, at the version that the database is at."""

    def __init__(self, database: Database, cache: Cache) -> None:
        self._database = database
        self._cache = cache

    async def get(self, document_id: DocumentId, principal: Principal) -> Document | None:
        """The live document if `principal` may see it, after every acknowledged change."""
        before = await self._database.corpus_state()
        reader = Reader.of(before.epoch, principal)
        key = key_of(DESCRIBED.name, DescribedKey(reader, document_id, before.version))
        found = await self._cache.get(DESCRIBED, key)
        if found is not None:
            return found
        async with self._database.read() as connection:
            found = await get_document(connection, principal, document_id)
            state = await find_by_id(connection, principal, document_id)
        # What changed while it was read belongs to another key.
        if found is not None and state is not None and await self._database.corpus_state() == before:
            self._cache.put(DESCRIBED, key, found, collections=(state.collection_id,))
        return found
