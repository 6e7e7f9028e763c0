"""Devices are told of and measured within a limit, one measurement at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from ragstone.errors import NotReady, Overloaded
from ragstone.models.fakes import PretendedGpu
from ragstone.models.gpu import GpuUse
from ragstone.models.local import load_encoder
from ragstone.models.ports import Placement
from ragstone.operate.gpu import BATCH_SIZES, Device, Encoder, GpuVerifier, measure
from ragstone.settings import ModelsSettings
from ragstone.types import Matrix

pytestmark = pytest.mark.anyio
LIMIT_S = 30.0
ON_CPU = Placement("cpu", "onnxruntime", "CPUExecutionProvider", "float32", 2)


class Instant:
    """Takes no time; waits for `gate` when there is one."""

    def __init__(self, gate: threading.Event | None = None) -> None:
        self.began = threading.Event()
        self._gate = gate

    def encode(self, texts: Sequence[str]) -> Matrix:
        """Zeros."""
        self.began.set()
        if self._gate is not None and not self._gate.wait(LIMIT_S):
            raise AssertionError("the gate stayed shut")
        return np.zeros((len(texts), 1), np.float32)


def without_gpu(device: Device) -> Encoder:
    """A machine that has none."""
    if device == "cuda":
        raise NotReady("no GPU here")
    return Instant()


def test_both_devices_are_measured_at_every_size() -> None:
    """Rows for each, and how many times as fast the GPU is at best."""
    found = measure(lambda _: Instant(), LIMIT_S)

    assert [(row.device, row.batch_size) for row in found.rows] == [
        (device, size) for device in ("cpu", "cuda") for size in BATCH_SIZES
    ]
    assert (found.is_complete, found.gpu_problem) == (True, "")
    assert found.best_speedup is not None and found.best_speedup > 0


def test_without_a_gpu_the_processor_is_measured_and_the_reason_told() -> None:
    """No row is made up, and there is nothing to compare."""
    found = measure(without_gpu, LIMIT_S)

    assert {row.device for row in found.rows} == {"cpu"}
    assert (found.is_complete, found.gpu_problem, found.best_speedup) == (True, "no GPU here", None)


def test_what_was_not_measured_in_time_is_left_out() -> None:
    """And said so."""
    found = measure(lambda _: Instant(), limit_s=-1.0)

    assert (found.rows, found.is_complete) == ((), False)


async def test_one_measurement_at_a_time() -> None:
    """The second is refused; after the end of the first there may be another."""
    gate = threading.Event()
    encoder = Instant(gate)
    verifier = GpuVerifier(ModelsSettings(), lambda: ON_CPU, lambda _: encoder)
    first = asyncio.create_task(verifier.benchmark())
    await asyncio.to_thread(encoder.began.wait, LIMIT_S)

    with pytest.raises(Overloaded, match="already"):
        await verifier.benchmark()
    gate.set()

    assert (await first).is_complete
    assert (await verifier.benchmark()).is_complete


async def test_who_leaves_ends_the_measurement() -> None:
    """After the run that was going on, and then there is room for another."""
    gate = threading.Event()
    encoder = Instant(gate)
    verifier = GpuVerifier(ModelsSettings(), lambda: ON_CPU, lambda _: encoder)
    leaving = asyncio.create_task(verifier.benchmark())
    await asyncio.to_thread(encoder.began.wait, LIMIT_S)

    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    with pytest.raises(Overloaded):
        await verifier.benchmark()
    gate.set()

    async with asyncio.timeout(LIMIT_S):
        while True:
            try:
                assert (await verifier.benchmark()).is_complete
                break
            except Overloaded:
                await asyncio.sleep(0)


async def test_a_report_says_where_the_model_runs() -> None:
    """Device, provider, and after a failure why it moved."""
    gpu = PretendedGpu()
    encoder = load_encoder(runtime="onnxruntime", gpu=GpuUse(gpu))
    verifier = GpuVerifier(ModelsSettings(), lambda: encoder.placement)

    before = await verifier.report()
    gpu.is_failing = True
    encoder.encode(["owl"])
    after = await verifier.report()

    assert (before.placement.provider, before.wanted) == ("PretendedExecutionProvider", "auto")
    assert "runs on the GPU" in before.verdict
    assert "given up" in after.verdict and "out of memory" in after.verdict
    assert "CPUExecutionProvider" in after.providers
