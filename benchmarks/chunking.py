"""How well each way of cutting serves retrieval, in characters: recall, precision and IoU of the excerpts.

    RAGSTONE_DATA=DIR python benchmarks/chunking.py [--cache FILE] [--sets NAME ...] [--quick]

The protocol of Smith and Troynikov, "Evaluating chunking strategies for retrieval" (Chroma, 2024), on their
five corpora and 472 questions with exact excerpts: the chunks of all corpora lie in one pool, the question is
searched in it, and the characters retrieved are compared with the excerpts'. IoU divides by the characters
retrieved (those retrieved twice count twice) and the excerpts' characters that were missed. `top5` takes the
best five chunks; `touched` takes as many as the question's excerpts touch, as the published code does by
`retrieve=-1`.

Documents are parsed, cut, given their heading line and embedded by the product's own functions; `dense` ranks
by cosine, `hybrid` by both legs as the product fuses them. Vectors are kept in --cache between runs, by the
hash of the text. Raw figures go to benchmarks/results/chunking.json.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from ragstone.index.lexical import TantivyIndex
from ragstone.index.vector import ExactVectorIndex
from ragstone.ingest.chunk import embedding_text, lay_out
from ragstone.ingest.sniff import sniff
from ragstone.ingest.text_parser import parse_text
from ragstone.models.encoder import SentenceEncoder
from ragstone.models.local import load_encoder
from ragstone.search.fuse import fuse
from ragstone.store.passages import IndexedChunk
from ragstone.types import (
    ChunkDraft,
    ChunkingSpec,
    ChunkingStrategy,
    ChunkKey,
    DocumentKey,
    Matrix,
    ParsedDocument,
    RawFile,
    Span,
    Weights,
)
from record import arguments, console, data_folder, keep, quiet

CORPORA = ("chatlogs", "finance", "pubmed", "state_of_the_union", "wikitexts")
SIZES = (64, 128, 200, 220)
STRATEGIES: tuple[ChunkingStrategy, ...] = ("structure", "semantic", "table")
DEPTH = 100
TOPS = (1, 5)
EMBEDDED_AT_ONCE = 256
WRITER_MEMORY_MB = 32
PERCENT = 100
COLUMNS = (
    *("cut", "chunks", "chars", "leg", "recall@5", "prec@5", "IoU@5", "recall@1", "prec@1", "IoU@1"),
    *("recall", "prec", "IoU"),
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the spans that answer it, in one corpus."""

    text: str
    corpus: str
    excerpts: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk of one corpus, with what is embedded for it."""

    corpus: str
    draft: ChunkDraft
    heading: str
    body: str
    embedded: str


@dataclass(frozen=True, slots=True)
class Pool:
    """The chunks of all corpora, embedded and indexed by position."""

    chunks: Sequence[Chunk]
    dense: ExactVectorIndex
    lexical: TantivyIndex


@dataclass(frozen=True, slots=True)
class Scores:
    """Of one question, as shares of characters."""

    recall: float
    precision: float
    iou: float


class Vectors:
    """The encoder behind a file of vectors by the hash of their text."""

    def __init__(self, encoder: SentenceEncoder, path: Path) -> None:
        self.encoder = encoder
        self._rows = sqlite3.connect(path)
        self._rows.execute("CREATE TABLE IF NOT EXISTS vectors (sha256 BLOB PRIMARY KEY, vector BLOB)")
        self.embedded = 0

    def of(self, texts: Sequence[str]) -> Matrix:
        """Unit rows in the order of `texts`."""
        hashes = [hashlib.sha256(f"{self.encoder.card.revision}\n{text}".encode()).digest() for text in texts]
        missing = {sha: text for sha, text in zip(hashes, texts, strict=True) if not self._has(sha)}
        order = sorted(missing, key=lambda sha: len(missing[sha]))
        for start in range(0, len(order), EMBEDDED_AT_ONCE):
            part = order[start : start + EMBEDDED_AT_ONCE]
            rows = self.encoder.encode([missing[sha] for sha in part])
            pairs = [(sha, row.astype("<f4").tobytes()) for sha, row in zip(part, rows, strict=True)]
            self._rows.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", pairs)
            self._rows.commit()
            self.embedded += len(part)
        found = [self._rows.execute(SELECT, (sha,)).fetchone()[0] for sha in hashes]
        return np.frombuffer(b"".join(found), "<f4").reshape(len(texts), -1).astype(np.float32)

    def close(self) -> None:
        """Close the file."""
        self._rows.close()

    def _has(self, sha: bytes) -> bool:
        return self._rows.execute(SELECT, (sha,)).fetchone() is not None


SELECT = "SELECT vector FROM vectors WHERE sha256 = ?"


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--cache", type=Path, default=None, help="keep vectors in this file between runs")
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=list(STRATEGIES))
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    options = parser.parse_args()
    quiet()
    names = CORPORA[:1] if options.quick else CORPORA
    with tempfile.TemporaryDirectory(prefix="ragstone-chunking-") as folder:
        cache = options.cache or Path(folder, "vectors.db")
        with closing(Vectors(load_encoder(), cache)) as vectors:
            documents = {name: parsed(name) for name in names}
            asked = [question for question in questions() if question.corpus in documents]
            rows = []
            for spec in specs(options.strategies, options.sizes[:1] if options.quick else options.sizes):
                row = measure(spec, documents, asked, vectors)
                rows.append(row)
                console().print(f"{label(row)}: {row['dense']}")
    console().print(table(rows))
    keep("chunking", {"questions": len(asked), "rows": rows}, is_quick=options.quick)


def specs(strategies: Sequence[ChunkingStrategy], sizes: Sequence[int]) -> Iterator[ChunkingSpec]:
    for strategy in strategies:
        for size in sizes:
            for overlap in (0, size // 8) if strategy == "structure" else (0,):
                yield ChunkingSpec(size, overlap, strategy)


def parsed(name: str) -> ParsedDocument:
    """A corpus as the product reads it; its spans are the set's own, because its text is normal already."""
    path = data_folder("chunking", "corpora", f"{name}.md")
    content = path.read_bytes()
    document = parse_text(RawFile(content, path.name), sniff(content, path.name))
    if document.text != content.decode():
        raise SystemExit(f"{path.name} changes when it is read; its excerpts cannot be compared.")
    return document


def questions() -> list[Question]:
    found = []
    for line in data_folder("chunking", "questions.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        spans = tuple(Span(part["start_index"], part["end_index"]) for part in row["references"])
        found.append(Question(row["text"], row["corpus"], spans))
    return found


def measure(
    spec: ChunkingSpec,
    documents: Mapping[str, ParsedDocument],
    asked: Sequence[Question],
    vectors: Vectors,
) -> dict[str, object]:
    chunks = [chunk for name, document in documents.items() for chunk in cut(name, document, spec, vectors)]
    matrix = vectors.of([chunk.embedded for chunk in chunks])
    queries = vectors.of([question.text for question in asked])
    with tempfile.TemporaryDirectory(prefix="ragstone-chunking-") as folder:
        pool = Pool(chunks, dense_index(matrix), lexical_index(chunks, Path(folder, "index")))
        ranked = {
            "dense": [dense(pool, row) for row in queries],
            "hybrid": [hybrid(pool, q.text, row) for q, row in zip(asked, queries, strict=True)],
        }
        pool.lexical.close()
    tokens = sorted(chunk.draft.token_count for chunk in chunks)
    lengths = [len(chunk.body) for chunk in chunks]
    return {
        "strategy": spec.strategy,
        "max_tokens": spec.max_tokens,
        "overlap_tokens": spec.overlap_tokens,
        "chunks": len(chunks),
        "tokens_p50": tokens[len(tokens) // 2],
        "mean_chars": round(sum(lengths) / len(lengths), 1),
    } | {leg: figures(pool, asked, found) for leg, found in ranked.items()}


def cut(name: str, document: ParsedDocument, spec: ChunkingSpec, vectors: Vectors) -> Iterator[Chunk]:
    encoder = vectors.encoder
    title = document.title or name
    layout = lay_out(document, spec, encoder.tokens, title=title, window_tokens=encoder.card.max_tokens)
    units = layout.units
    for draft in layout.drafts(vectors.of([span.of(document.text) for span in units]) if units else None):
        body = draft.span.of(document.text)
        heading = " > ".join((title, *draft.heading_path))
        yield Chunk(name, draft, heading, body, embedding_text(title, draft.heading_path, body))


def dense_index(matrix: Matrix) -> ExactVectorIndex:
    index = ExactVectorIndex(matrix.shape[1])
    keys = list(range(1, len(matrix) + 1))
    index.apply([], matrix, keys, keys)
    return index


def lexical_index(chunks: Sequence[Chunk], folder: Path) -> TantivyIndex:
    index = TantivyIndex(folder, "en", WRITER_MEMORY_MB)
    entries = [
        IndexedChunk(ChunkKey(key), DocumentKey(key), chunk.heading, chunk.body)
        for key, chunk in enumerate(chunks, start=1)
    ]
    index.apply([], entries)
    index.commit()
    return index


def dense(pool: Pool, vector: Matrix) -> list[Chunk]:
    return [pool.chunks[found.key - 1] for found in pool.dense.search(vector, DEPTH, None)]


def hybrid(pool: Pool, text: str, vector: Matrix) -> list[Chunk]:
    legs = pool.lexical.search(text, DEPTH, None), pool.dense.search(vector, DEPTH, None)
    return [pool.chunks[key - 1] for key, _ in fuse(*legs, Weights(), DEPTH)]


def figures(
    pool: Pool, asked: Sequence[Question], ranked: Sequence[Sequence[Chunk]]
) -> dict[str, dict[str, float]]:
    pairs = list(zip(asked, ranked, strict=True))
    tops = {f"top{top}": means([score(q, found[:top]) for q, found in pairs]) for top in TOPS}
    return tops | {"touched": means([score(q, found[: touched(pool, q)]) for q, found in pairs])}


def touched(pool: Pool, question: Question) -> int:
    """How many chunks the excerpts lie in."""
    return sum(
        any(overlap(chunk.draft.span, excerpt) for excerpt in question.excerpts)
        for chunk in pool.chunks
        if chunk.corpus == question.corpus
    )


def score(question: Question, retrieved: Sequence[Chunk]) -> Scores:
    wanted = set().union(*(range(span.start, span.end) for span in question.excerpts))
    own = [chunk.draft.span for chunk in retrieved if chunk.corpus == question.corpus]
    found = wanted & set().union(*(range(span.start, span.end) for span in own))
    taken = sum(len(chunk.body) for chunk in retrieved)
    return Scores(
        len(found) / len(wanted),
        len(found) / taken if taken else 0.0,
        len(found) / (taken + len(wanted) - len(found)),
    )


def overlap(first: Span, second: Span) -> bool:
    return first.start < second.end and second.start < first.end


def means(scores: Sequence[Scores]) -> dict[str, float]:
    names = ("recall", "precision", "iou")
    return {name: round(float(np.mean([getattr(one, name) for one in scores])), 4) for name in names} | {
        "recall_deviation": round(float(np.std([one.recall for one in scores])), 4)
    }


def label(row: Mapping[str, object]) -> str:
    return f"{row['strategy']} {row['max_tokens']}/{row['overlap_tokens']}"


def table(rows: Sequence[Mapping[str, object]]) -> Table:
    shown = Table(*COLUMNS, box=None)
    for row in rows:
        for leg in ("dense", "hybrid"):
            found = row[leg]
            values = [
                f"{PERCENT * found[rule][name]:.1f}"  # type: ignore[index]
                for rule in ("top5", "top1", "touched")
                for name in ("recall", "precision", "iou")
            ]
            shown.add_row(label(row), str(row["chunks"]), str(row["mean_chars"]), leg, *values)
    return shown


if __name__ == "__main__":
    main()
