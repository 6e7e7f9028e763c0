"""What the envelope of a cached entry saves and costs, by kind of value and by size.

    python benchmarks/cache_codec.py [--quick]

Values are packed as the caches pack them, from paragraphs of the test data's documents: answers with
citations, search results, query vectors, short texts. For each, MessagePack's size, its share after an LZ4
block and after an LZ4 frame, the microseconds of either way, and of the two checksums in question. The
smallest size at which a block saves a fifth of a text chose `COMPRESS_FROM_BYTES`. Raw figures go to
benchmarks/results/cache_codec.json.
"""

from __future__ import annotations

import itertools
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from hashlib import blake2b
from statistics import median

import lz4.block
import lz4.frame
import msgspec
import numpy as np
from rich.table import Table

from ragstone.cache.codec import unwrap, wrap
from record import arguments, console, data_folder, keep, quiet

DIM = 384
TEXT_SIZES = (64, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096, 16_384)
SAMPLES = 40
WORTH_SAVING = 1 / 5
ROUNDS = 30


def paragraphs() -> Iterator[str]:
    """Paragraphs of the documents, over and over."""
    texts = [path.read_text("utf-8") for path in sorted(data_folder("docs").rglob("*.md"))[::7]]
    found = [part.strip() for text in texts for part in text.split("\n\n") if len(part) > 80]
    return itertools.cycle(found)


def hit(text: str, number: int) -> dict[str, object]:
    """A hit as a search result keeps it."""
    return {
        "chunk_key": 10_000 + number,
        "chunk_id": f"0198f3a2-7c1e-7b44-9d10-{number:012x}",
        "document_id": f"0198f3a2-5d02-7e31-8c5a-{number:012x}",
        "collection": "default",
        "title": text[:40],
        "source": f"docs/{number}.md",
        "text": text,
        "score": 1 / (60 + number),
        "span": [number * 800, number * 800 + len(text)],
        "page": None,
        "section": [text[:20]],
        "metadata": {},
        "scores": {"lexical": 12.5 / (number + 1), "dense": 0.7 / (number + 1), "fused": 1 / (60 + number)},
    }


def result(texts: Iterator[str], top_k: int) -> bytes:
    """A search result of `top_k` hits of a usual chunk's length."""
    return msgspec.msgpack.encode(
        {"hits": [hit(next(texts)[:900], number) for number in range(top_k)], "corpus_version": 1234}
    )


def answer(texts: Iterator[str], citations: int) -> bytes:
    """An answer whose every sentence quotes a passage."""
    quotes = [next(texts)[:400] for _ in range(citations)]
    return msgspec.msgpack.encode(
        {
            "text": " ".join(f"{quote[:160]} [{number}]." for number, quote in enumerate(quotes, 1)),
            "citations": [{**hit(quote, number), "quote": quote} for number, quote in enumerate(quotes, 1)],
            "model": "llama3.1:8b",
            "usage": {"prompt_tokens": 1820, "completion_tokens": 210},
        }
    )


def text_of(texts: Iterator[str], size: int) -> bytes:
    """Running text of `size` bytes."""
    found = b""
    while len(found) < size:
        found += next(texts).encode() + b"\n\n"
    return found[:size]


def vector(rng: np.random.Generator) -> bytes:
    """A unit vector as a query embedding is kept."""
    drawn = rng.standard_normal(DIM).astype(np.float32)
    return (drawn / np.linalg.norm(drawn)).tobytes()


def values(texts: Iterator[str]) -> dict[str, list[bytes]]:
    """Samples of each kind of value."""
    rng = np.random.default_rng(7)
    kinds: dict[str, Callable[[], bytes]] = {
        **{f"search result, {k} hits": partial(result, texts, k) for k in (1, 3, 10, 50)},
        **{f"answer, {n} citations": partial(answer, texts, n) for n in (0, 1, 3, 8)},
        "vector, 384 float32": partial(vector, rng),
        **{f"text, {size} bytes": partial(text_of, texts, size) for size in TEXT_SIZES},
    }
    return {kind: [make() for _ in range(SAMPLES)] for kind, make in kinds.items()}


def microseconds(work: Callable[[bytes], object], samples: list[bytes], rounds: int) -> float:
    """Of one call, the median of rounds over all samples."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for sample in samples:
            work(sample)
        times.append((time.perf_counter() - start) / len(samples))
    return round(median(times) * 1e6, 2)


def share(work: Callable[[bytes], bytes], samples: list[bytes]) -> float:
    """Bytes after over bytes before."""
    return round(sum(len(work(sample)) for sample in samples) / sum(map(len, samples)), 3)


def measure(samples: list[bytes], rounds: int) -> dict[str, float]:
    blocks = [lz4.block.compress(sample) for sample in samples]
    frames = [lz4.frame.compress(sample) for sample in samples]
    wrapped = [wrap(sample, "answer:0") for sample in samples]
    return {
        "bytes": round(sum(map(len, samples)) / len(samples)),
        "block_share": share(lz4.block.compress, samples),
        "frame_share": share(lz4.frame.compress, samples),
        "block_compress_us": microseconds(lz4.block.compress, samples, rounds),
        "block_decompress_us": microseconds(lz4.block.decompress, blocks, rounds),
        "frame_compress_us": microseconds(lz4.frame.compress, samples, rounds),
        "frame_decompress_us": microseconds(lz4.frame.decompress, frames, rounds),
        "crc32_us": microseconds(zlib.crc32, samples, rounds),
        "blake2b_us": microseconds(lambda sample: blake2b(sample, digest_size=8).digest(), samples, rounds),
        "wrapped_share": share(lambda sample: wrap(sample, "answer:0"), samples),
        "wrap_us": microseconds(lambda sample: wrap(sample, "answer:0"), samples, rounds),
        "unwrap_us": microseconds(lambda data: unwrap(data, "answer:0"), wrapped, rounds),
    }


def threshold(figures: Mapping[str, Mapping[str, float]]) -> int | None:
    """The smallest size of text at which a block saves enough."""
    worth = (size for size in TEXT_SIZES if figures[f"text, {size} bytes"]["block_share"] <= 1 - WORTH_SAVING)
    return next(worth, None)


def main() -> None:
    options = arguments(__doc__).parse_args()
    quiet()
    rounds = 3 if options.quick else ROUNDS
    figures = {kind: measure(samples, rounds) for kind, samples in values(paragraphs()).items()}
    columns = ("bytes", "wrapped_share", "wrap_us", "unwrap_us", "crc32_us", "blake2b_us")
    table = Table("value", *columns, title="The envelope of a cached entry")
    for kind, row in figures.items():
        table.add_row(kind, *(str(row[column]) for column in columns))
    console().print(table)
    chosen = threshold(figures)
    console().print(f"A block saves {WORTH_SAVING:.0%} of a text from {chosen} bytes on.")
    keep(
        "cache_codec", {"text_worth_compressing_from_bytes": chosen, "kinds": figures}, is_quick=options.quick
    )


if __name__ == "__main__":
    main()
