"""Rows of the truth into the derived indexes: whole documents, or only the chunks that differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set as AbstractSet
from typing import TYPE_CHECKING

from anyio import to_thread

from ragstone.store.passages import chunk_keys_of, chunks_by_key, indexed_chunks, stream_vectors

if TYPE_CHECKING:
    from ragstone.index.lexical import TantivyIndex
    from ragstone.index.vector import ExactVectorIndex
    from ragstone.store.database import Database
    from ragstone.types import DocumentKey, Matrix

BATCH_DOCUMENTS = 200
BATCH_CHUNKS = 500


async def put_lexical(
    database: Database, lexical: TantivyIndex, gone: Sequence[DocumentKey], present: Sequence[DocumentKey]
) -> None:
    """Drop the documents in `gone`, then add those in `present` as the rows say; the caller commits."""
    await to_thread.run_sync(lexical.apply, gone, [])
    for batch in batches(present):
        async with database.read() as connection:
            async for chunks in indexed_chunks(connection, batch):
                await to_thread.run_sync(lexical.apply, [], chunks)


async def put_vectors(database: Database, vector: ExactVectorIndex, keys: Sequence[DocumentKey]) -> None:
    """Bring these documents to what the rows say."""
    for batch in batches(keys):
        async with database.read() as connection:
            found = [part async for part in stream_vectors(connection, vector.dim, document_keys=batch)]
        await to_thread.run_sync(_replace_vectors, vector, batch, found)


async def put_changed_lexical(database: Database, lexical: TantivyIndex, document_key: DocumentKey) -> None:
    """Bring one document to what the rows say by the keys of its chunks: a key never gets another text.

    What differs is dropped before it is added, so that doing this twice does no harm. Chunks that are gone
    when their text is read have been replaced since their keys were read: then the rows are asked again, or
    the document would be missing until somebody looks at the newer change. The caller commits.
    """
    held = await to_thread.run_sync(lexical.keys_of, document_key)
    while True:
        async with database.read() as connection:
            present = set(await chunk_keys_of(connection, document_key))
        await to_thread.run_sync(lexical.drop_chunks, sorted(present ^ held))
        added: set[int] = set()
        for part in _parts(present - held):
            async with database.read() as connection:
                chunks = await chunks_by_key(connection, part)
            await to_thread.run_sync(lexical.apply, [], chunks)
            added.update(chunk.key for chunk in chunks)
        if added == present - held or not await _has_moved(database, document_key, present):
            return
        held = (held & present) | added


async def put_changed_vectors(
    database: Database, vector: ExactVectorIndex, document_key: DocumentKey
) -> None:
    """The same for its vectors.

    Each index is asked what it holds itself: the rows may change between a look for one and for the other,
    and vectors are loaded as the rows are at an opening, when the files are of before. Fresh chunks come
    before old ones go, for searches that run meanwhile.
    """
    while True:
        async with database.read() as connection:
            present = set(await chunk_keys_of(connection, document_key))
        held = vector.keys_of(document_key)
        found: list[tuple[Matrix, list[int], list[int]]] = []
        for part in _parts(present - held):
            async with database.read() as connection:
                found += [rows async for rows in stream_vectors(connection, vector.dim, chunk_keys=part)]
        await to_thread.run_sync(_replace_vectors, vector, [], found)
        await to_thread.run_sync(vector.drop_chunks, document_key, held - present)
        if sum(len(keys) for _, keys, _ in found) == len(present - held) or not await _has_moved(
            database, document_key, present
        ):
            return


async def _has_moved(database: Database, document_key: DocumentKey, keys: AbstractSet[int]) -> bool:
    """Whether the document's chunks are others by now; damaged rows are no reason to look again."""
    async with database.read() as connection:
        return set(await chunk_keys_of(connection, document_key)) != keys


def _parts(keys: AbstractSet[int]) -> Iterable[Sequence[int]]:
    ordered = sorted(keys)
    return (ordered[at : at + BATCH_CHUNKS] for at in range(0, len(ordered), BATCH_CHUNKS))


def batches(keys: Sequence[DocumentKey]) -> Iterable[Sequence[DocumentKey]]:
    """The keys in parts that one statement takes."""
    return (keys[at : at + BATCH_DOCUMENTS] for at in range(0, len(keys), BATCH_DOCUMENTS))


def _replace_vectors(
    vector: ExactVectorIndex,
    gone: Sequence[DocumentKey],
    found: Sequence[tuple[Matrix, list[int], list[int]]],
) -> None:
    if not found:
        vector.apply(gone, vector.no_rows(), [], [])
    for at, (matrix, keys, documents) in enumerate(found):
        vector.apply(gone if at == 0 else [], matrix, keys, documents)
