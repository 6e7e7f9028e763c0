"""What drivers tell of GPUs, and what is made of drivers that tell less."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from ragstone.telemetry.devices import find_gpus

GIB = 2**30


class DriverError(Exception):
    """As NVML's errors are: a class of its module, which derives from nothing of ours."""


class Driver:
    """NVML with two cards; `lost` names the calls that fail, with the card or without."""

    NVMLError = DriverError

    def __init__(self, *lost: str) -> None:
        self._lost = lost

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802 - NVML's own names
        self._check("count")
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> object:  # noqa: N802
        self._check(f"handle {index}")
        return index

    def nvmlDeviceGetName(self, handle: object) -> str:  # noqa: N802
        return f"Card {handle}"

    def nvmlDeviceGetMemoryInfo(self, handle: object) -> object:  # noqa: N802
        self._check(f"memory {handle}")
        return SimpleNamespace(used=GIB, total=8 * GIB)

    def nvmlDeviceGetUtilizationRates(self, handle: object) -> object:  # noqa: N802
        self._check(f"rates {handle}")
        return SimpleNamespace(gpu=50)

    def _check(self, call: str) -> None:
        if call in self._lost:
            raise DriverError(call)


@pytest.mark.parametrize(
    ("driver", "expected"),
    [
        (lambda: Driver(), {"0: Card 0": 0.5, "1: Card 1": 0.5}),
        (lambda: Driver("count"), {}),
        (lambda: Driver("handle 0"), {"1: Card 1": 0.5}),
        (lambda: Driver("memory 1"), {"0: Card 0": 0.5}),
        (lambda: Driver("rates 1"), {"0: Card 0": 0.5, "1: Card 1": 0.0}),
        (lambda: None, {}),
    ],
    ids=["whole", "gone", "a card gone", "a card without memory", "a part of a card", "no driver"],
)
def test_what_nvidias_driver_does_not_tell_leaves_the_rest(
    tmp_path: Path, driver: Callable[[], Driver | None], expected: dict[str, float]
) -> None:
    """A card that fails is left out, one without a figure of its work counts as idle."""
    found = find_gpus(tmp_path, driver)

    assert {gpu.name: gpu.busy_ratio for gpu in found} == expected
    assert {(gpu.kind, gpu.used_bytes, gpu.total_bytes) for gpu in found} <= {("cuda", GIB, 8 * GIB)}


def test_amds_cards_are_read_from_the_kernel(tmp_path: Path) -> None:
    """A device that tells of no memory of its own is no GPU of that kind."""
    for name, files in {
        "card0": {"mem_info_vram_total": 8 * GIB, "mem_info_vram_used": GIB, "gpu_busy_percent": 25},
        "card1": {},
    }.items():
        (tmp_path / name / "device").mkdir(parents=True)
        for file, number in files.items():
            (tmp_path / name / "device" / file).write_text(f"{number}\n")

    (found,) = find_gpus(tmp_path, lambda: None)

    assert (found.name, found.kind, found.used_bytes, found.busy_ratio) == ("card0", "rocm", GIB, 0.25)
