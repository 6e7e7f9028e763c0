"""GPUs as the system's drivers tell of them: NVIDIA through NVML, AMD through the kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, Protocol

DRM = Path("/sys/class/drm")


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU now; `busy_ratio` is the share of the last moments in which it worked, 0 to 1."""

    name: str
    kind: Literal["cuda", "rocm"]
    used_bytes: int
    total_bytes: int
    busy_ratio: float


class _Nvml(Protocol):
    """The part of NVML's Python face that is used."""

    @property
    def NVMLError(self) -> type[Exception]: ...  # noqa: N802 - NVML's own names

    def nvmlDeviceGetCount(self) -> int: ...  # noqa: N802

    def nvmlDeviceGetHandleByIndex(self, index: int) -> object: ...  # noqa: N802

    def nvmlDeviceGetName(self, handle: object) -> str: ...  # noqa: N802

    def nvmlDeviceGetMemoryInfo(self, handle: object) -> object: ...  # noqa: N802

    def nvmlDeviceGetUtilizationRates(self, handle: object) -> object: ...  # noqa: N802


def find_gpus(drm: Path = DRM, open_nvml: Callable[[], _Nvml | None] | None = None) -> tuple[Gpu, ...]:
    """Every GPU that a driver tells of; none where there is none."""
    nvml = (open_nvml or _open_nvml)()
    return (*(_nvidia(nvml) if nvml is not None else ()), *_amd(drm))


@cache
def _open_nvml() -> _Nvml | None:
    """NVML where its Python face (extra `gpu`) and a driver are; asked once, a driver does not come later."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    found: _Nvml = pynvml
    return found


def _nvidia(nvml: _Nvml) -> Iterator[Gpu]:
    try:
        count = nvml.nvmlDeviceGetCount()
    except nvml.NVMLError:  # the driver went away
        return
    for index in range(count):
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            name, memory = nvml.nvmlDeviceGetName(handle), nvml.nvmlDeviceGetMemoryInfo(handle)
        except nvml.NVMLError:  # this one fell off the bus, or may not be looked at
            continue
        used, total = int(getattr(memory, "used", 0)), int(getattr(memory, "total", 0))
        yield Gpu(f"{index}: {name}", "cuda", used, total, _busy_ratio(nvml, handle))


def _busy_ratio(nvml: _Nvml, handle: object) -> float:
    """0 where the driver does not tell: a part of a GPU has no figure of its own."""
    try:
        return float(getattr(nvml.nvmlDeviceGetUtilizationRates(handle), "gpu", 0)) / 100
    except nvml.NVMLError:
        return 0.0


def _amd(drm: Path) -> Iterator[Gpu]:
    for card in sorted(drm.glob("card[0-9]*/device")):
        total = _number(card / "mem_info_vram_total")
        if total is not None:
            used, busy = _number(card / "mem_info_vram_used"), _number(card / "gpu_busy_percent")
            yield Gpu(card.parent.name, "rocm", used or 0, total, (busy or 0) / 100)


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text("ascii"))
    except (OSError, ValueError):
        return None
