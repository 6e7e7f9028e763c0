"""Which devices there are, which one the embedding model uses, and what each is worth."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Literal, Protocol

from anyio import to_thread

from ragstone.errors import NotReady, Overloaded
from ragstone.models.card import BUNDLED_FOLDER
from ragstone.models.hardware import give_way
from ragstone.models.local import load_encoder
from ragstone.models.onnx_encoder import onnx_providers
from ragstone.models.ports import Placement
from ragstone.settings import ModelsSettings
from ragstone.telemetry.devices import Gpu, find_gpus
from ragstone.types import Matrix

Device = Literal["cpu", "cuda"]

BATCH_SIZES = (1, 8, 32, 128)
ROUNDS = 3
"""Measured, after one that is not; the median counts."""
LIMIT_S = 30.0
LONGEST_S = 120.0
WORDS = "The library opens at nine and closes when the last reader has left the hall"
TEXT_REPEATS = 3
"""Of `WORDS`: about 50 tokens, a short passage."""


@dataclass(frozen=True, slots=True)
class GpuReport:
    """What there is and what is used."""

    gpus: tuple[Gpu, ...]
    providers: tuple[str, ...]
    """What this build of onnxruntime can run on, best first."""
    wanted: str
    """`models.device`."""
    placement: Placement
    verdict: str
    """All of it in a sentence or two."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One device at one batch size."""

    device: Device
    batch_size: int
    texts_per_s: float
    ms_per_text: float


@dataclass(frozen=True, slots=True)
class GpuBenchmark:
    """CPU and GPU, if there is one, by batch size."""

    rows: tuple[Measured, ...]
    rounds: int
    duration_s: float
    is_complete: bool
    """False when the time was used up before every size was measured."""
    gpu_problem: str
    """Why no GPU was measured; empty when one was."""

    @property
    def best_speedup(self) -> float | None:
        """The GPU's texts per second against the processor's, at the size where that is most."""
        speeds = {(row.device, row.batch_size): row.texts_per_s for row in self.rows}
        ratios = [
            speeds["cuda", size] / speeds["cpu", size]
            for size in BATCH_SIZES
            if ("cuda", size) in speeds and ("cpu", size) in speeds
        ]
        return round(max(ratios), 2) if ratios else None


class Encoder(Protocol):
    """What is measured."""

    def encode(self, texts: Sequence[str]) -> Matrix:
        """`(len(texts), dim)` unit rows."""
        ...


LoadEncoder = Callable[[Device], Encoder]
"""Raises `NotReady` when the model cannot run there."""


class GpuVerifier:
    """Tells of the devices, and measures them, one measurement at a time."""

    def __init__(
        self,
        settings: ModelsSettings,
        placement: Callable[[], Placement],
        load: LoadEncoder | None = None,
    ) -> None:
        """`placement` tells where the embedder runs now; `load` opens what is measured."""
        self._settings = settings
        self._placement = placement
        self._load = load or partial(_load, settings)
        self._is_measuring = False

    async def report(self) -> GpuReport:
        """Devices, providers and what the embedder uses."""
        gpus = await to_thread.run_sync(find_gpus)
        providers = await to_thread.run_sync(onnx_providers)
        placement = self._placement()
        verdict = _verdict(gpus, placement)
        return GpuReport(gpus, providers, self._settings.device, placement, verdict)

    async def benchmark(self, limit_s: float = LIMIT_S) -> GpuBenchmark:
        """Texts per second on the processor, and on the GPU where there is one.

        Models of its own are opened for the time, in a thread that gives way to requests. Cancelling ends
        it after the run that is going on.

        Raises:
            Overloaded: another measurement runs.
            NotReady: the model cannot be opened.
        """
        if self._is_measuring:
            raise Overloaded("The devices are being measured already; try again in a minute.")
        self._is_measuring = True
        stop = threading.Event()
        thread = ThreadPoolExecutor(1, "gpu-benchmark", initializer=give_way)
        measuring = asyncio.get_running_loop().run_in_executor(thread, measure, self._load, limit_s, stop)
        measuring.add_done_callback(self._finish)
        try:
            return await asyncio.shield(measuring)
        finally:
            stop.set()
            thread.shutdown(wait=False)

    def _finish(self, done: asyncio.Future[GpuBenchmark]) -> None:
        self._is_measuring = False
        if not done.cancelled():
            done.exception()  # who asked may have left


def measure(load: LoadEncoder, limit_s: float, stop: threading.Event | None = None) -> GpuBenchmark:
    """Measure here and now; blocks for at most about `limit_s`.

    Raises:
        NotReady: the model cannot be opened.
    """
    clock, began = time.perf_counter, time.perf_counter()
    stopped = stop or threading.Event()
    gpu, problem = _opened_gpu(load)
    cpu_limit_s = limit_s if gpu is None else limit_s / 2
    rows = list(_rows("cpu", load("cpu"), lambda: stopped.is_set() or clock() - began > cpu_limit_s))
    if gpu is not None:
        rows += _rows("cuda", gpu, lambda: stopped.is_set() or clock() - began > limit_s)
    wanted = len(BATCH_SIZES) * (1 if problem else 2)
    return GpuBenchmark(tuple(rows), ROUNDS, round(clock() - began, 2), len(rows) == wanted, problem)


def _opened_gpu(load: LoadEncoder) -> tuple[Encoder | None, str]:
    try:
        return load("cuda"), ""
    except NotReady as error:
        return None, error.message


def _rows(device: Device, encoder: Encoder, is_over: Callable[[], bool]) -> Iterator[Measured]:
    for size in BATCH_SIZES:
        texts = [f"{number} {' '.join([WORDS] * TEXT_REPEATS)}" for number in range(size)]
        spent = []
        for _ in range(1 + ROUNDS):
            if is_over():
                return
            began = time.perf_counter()
            encoder.encode(texts)
            spent.append(time.perf_counter() - began)
        typical = median(spent[1:])
        yield Measured(device, size, round(size / typical, 1), round(typical * 1000 / size, 3))


def _load(settings: ModelsSettings, device: Device) -> Encoder:
    folder = settings.embedding_path or BUNDLED_FOLDER
    runtime = settings.runtime if device == "cpu" else "onnxruntime"
    return load_encoder(folder, runtime, settings.threads, device)


def _verdict(gpus: Sequence[Gpu], placement: Placement) -> str:
    names = ", ".join(f"{gpu.name} ({gpu.kind})" for gpu in gpus)
    there = f"There is {names}." if gpus else "No GPU was found."
    if placement.fallbacks:
        return f"{there} It was given up, and the processor took over: {placement.note}"
    if placement.device == "cuda":
        return f"{there} The embedding model runs on the GPU ({placement})."
    if placement.device == "none":
        return f"{there} No embedding model is open: {placement.note}"
    reason = f": {placement.note}" if placement.note else "."
    if not reason.startswith(":") and any(gpu.kind == "rocm" for gpu in gpus):
        reason = "; GPUs of this kind are shown, not used."
    return f"{there} The embedding model runs on the processor ({placement}){reason}"
