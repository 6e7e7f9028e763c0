"""BM25 over tantivy: one index per collection, two fields, chunk keys out."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence, Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import tantivy

from ragstone.errors import IndexFailed
from ragstone.index.analysis import EXACT, STEMMED, Analysis, QueryTerms, prepare
from ragstone.types import Candidate, ChunkKey, DocumentKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragstone.store.passages import IndexedChunk

KEY, DOCUMENT = "key", "document"
TANTIVY_K1 = 1.2
"""Tantivy's own constant of BM25; it cannot be set."""
EXACT_BOOST = 0.3
"""An identifier matched whole counts besides its stemmed parts, which carry the ranking of prose."""


class TantivyIndex:
    """The lexical index of one collection in one process's slot; its files are this process's own."""

    def __init__(self, folder: Path, language: str, writer_memory_mb: int) -> None:
        """Open the index in `folder`, or begin an empty one.

        Raises:
            IndexFailed: the files cannot be read; `rebuilt_empty` begins again.
        """
        self._folder = folder
        self._analysis = Analysis(language)
        with _translated(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._schema = _schema()
            self._index = tantivy.Index(self._schema, path=str(folder))
            self._analysis.register(self._index)
            self._writer = self._index.writer(heap_size=writer_memory_mb * 2**20, num_threads=1)
            self._searcher = self._index.searcher()

    @staticmethod
    def is_there(folder: Path) -> bool:
        """Whether `folder` holds an index; opening one that lost its `meta.json` would begin an empty one."""
        return (folder / "meta.json").is_file()

    @classmethod
    def rebuilt_empty(cls, folder: Path, language: str, writer_memory_mb: int) -> TantivyIndex:
        """An empty index in place of whatever is in `folder`."""
        if folder.is_dir():
            shutil.rmtree(folder, ignore_errors=True)
        return cls(folder, language, writer_memory_mb)

    @property
    def size(self) -> int:
        """How many chunks the last commit holds."""
        return int(self._searcher.num_docs)

    def apply(self, gone: Sequence[DocumentKey], chunks: Sequence[IndexedChunk]) -> None:
        """Drop every chunk of the documents in `gone`, then add `chunks`; visible after `commit`."""
        with _translated(self._folder):
            for document_key in gone:
                self._writer.delete_documents_by_term(DOCUMENT, document_key)
            for chunk in chunks:
                self._writer.add_document(_entry(chunk))

    def drop_chunks(self, keys: Sequence[int]) -> None:
        """Drop chunks by their own keys; visible after `commit`."""
        with _translated(self._folder):
            for key in keys:
                self._writer.delete_documents_by_term(KEY, key)

    def commit(self) -> None:
        """Make what was applied durable and visible."""
        with _translated(self._folder):
            self._writer.commit()
            self._index.reload()
            self._searcher = self._index.searcher()

    def search(self, query: str, limit: int, allowed: AbstractSet[int] | None) -> list[Candidate]:
        """Up to `limit` chunks, best BM25 first, ties by key; `allowed` holds document keys."""
        with _translated(self._folder):
            terms = self._analysis.terms(query)
            parsed = self._query(terms, allowed)
            if parsed is None or limit < 1:
                return []
            searcher = self._searcher
            found = searcher.search(parsed, limit, count=False).hits
            keys = searcher.fast_field_values(KEY, [address for _, address in found])
            reach = _reach(searcher, terms) if found else 1.0
        ranked = [
            Candidate(ChunkKey(int(key or 0)), float(score), min(1.0, float(score) / reach))
            for key, (score, _) in zip(keys, found, strict=True)
        ]
        return sorted(ranked, key=lambda candidate: (-candidate.score, candidate.key))

    def keys(self) -> set[int]:
        """The keys of all chunks in the index, for `ragstone check`."""
        with _translated(self._folder):
            total = self._searcher.num_docs
            if not total:
                return set()
            found = self._searcher.search(tantivy.Query.all_query(), total, count=False).hits
            values = self._searcher.fast_field_values(KEY, [address for _, address in found])
            return {int(value or 0) for value in values}

    def keys_of(self, document_key: DocumentKey) -> set[int]:
        """The keys of one document's chunks, as of the last commit."""
        with _translated(self._folder):
            searcher = self._searcher
            limit = searcher.doc_freq(DOCUMENT, document_key)
            if not limit:
                return set()
            query = tantivy.Query.term_query(self._schema, DOCUMENT, document_key)
            found = searcher.search(query, limit, count=False).hits
            values = searcher.fast_field_values(KEY, [address for _, address in found])
            return {int(value or 0) for value in values}

    def close(self) -> None:
        """Let go of the writer's lock and threads."""
        with _translated(self._folder):
            self._writer.wait_merging_threads()

    def _query(self, terms: QueryTerms, allowed: AbstractSet[int] | None) -> tantivy.Query | None:
        parts = [_term(self._schema, STEMMED, term, 1.0) for term in terms.stemmed]
        parts += [_term(self._schema, EXACT, term, EXACT_BOOST) for term in terms.exact]
        if not parts:
            return None
        words = tantivy.Query.boolean_query([(tantivy.Occur.Should, part) for part in parts])
        if allowed is None:
            return words
        documents = tantivy.Query.term_set_query(self._schema, DOCUMENT, sorted(allowed))
        only = tantivy.Query.const_score_query(documents, 0.0)
        return tantivy.Query.boolean_query([(tantivy.Occur.Must, words), (tantivy.Occur.Must, only)])


def _schema() -> tantivy.Schema:
    # Integer fields: deleting by term on an unsigned field silently deletes nothing (tantivy-py).
    return (
        tantivy.SchemaBuilder()
        .add_integer_field(KEY, indexed=True, fast=True)
        .add_integer_field(DOCUMENT, indexed=True, fast=True)
        .add_text_field(EXACT, tokenizer_name=EXACT, index_option="freq")
        .add_text_field(STEMMED, tokenizer_name=STEMMED, index_option="freq")
        .build()
    )


def _entry(chunk: IndexedChunk) -> tantivy.Document:
    text = prepare(f"{chunk.heading}\n{chunk.text}")
    entry = tantivy.Document()
    entry.add_integer(KEY, chunk.key)
    entry.add_integer(DOCUMENT, chunk.document_key)
    entry.add_text(EXACT, text)
    entry.add_text(STEMMED, text)
    return entry


def _reach(searcher: tantivy.Searcher, terms: QueryTerms) -> float:
    """The BM25 that no chunk exceeds for these terms: each as frequent as can be, in the shortest text."""
    weights = ((STEMMED, terms.stemmed, 1.0), (EXACT, terms.exact, EXACT_BOOST))
    total = searcher.num_docs
    reach = 0.0
    for field, words, boost in weights:
        for word in words:
            frequency = min(searcher.doc_freq(field, word), total)
            reach += boost * math.log(1 + (total - frequency + 0.5) / (frequency + 0.5)) * (TANTIVY_K1 + 1)
    return max(reach, 1e-6)


def _term(schema: tantivy.Schema, field: str, term: str, boost: float) -> tantivy.Query:
    query = tantivy.Query.term_query(schema, field, term, "freq")
    return query if boost == 1.0 else tantivy.Query.boost_query(query, boost)


@contextmanager
def _translated(folder: Path) -> Iterator[None]:
    """Tantivy raises ValueError for nearly everything, and a Rust panic on damaged files."""
    try:
        yield
    except (ValueError, OSError, RuntimeError) as error:
        raise IndexFailed(f"The lexical index in {folder} failed: {error}.") from error
    except BaseException as error:  # a panic derives from BaseException, with no importable type
        if type(error).__name__ != "PanicException":
            raise
        raise IndexFailed(f"The lexical index in {folder} is damaged: {error}.") from error
