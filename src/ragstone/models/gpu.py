"""A GPU under the embedding model: taken when it computes what the processor computes, left when it fails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import structlog

from ragstone.errors import EmbeddingFailed, NotReady
from ragstone.models.encoder import Graph
from ragstone.models.onnx_encoder import CPU_PROVIDER, Cuda
from ragstone.models.ports import Placement
from ragstone.models.text_batches import Ids, pad
from ragstone.models.tokens import ModelTokens
from ragstone.types import Matrix

log = structlog.get_logger(__name__)

LEAST_AGREEMENT = 0.999
"""Cosine between a GPU's vector of a text and the processor's: one collection may hold both."""
PROBES = (
    "hours",
    "The library opens at nine, and closes when the last reader has left.",
    "A long text fills the window of the model to its end. " * 24,
)
INSTALL = (
    "replace the package onnxruntime by onnxruntime-gpu (docs/models.md), or set models.device to 'auto'"
)


class Accelerator(Protocol):
    """A way to run the model elsewhere than on the processor."""

    def is_there(self) -> bool:
        """Whether it is worth a try; quick."""
        ...

    def open(self, folder: Path, threads: int) -> Graph:
        """The model of a folder on it.

        Raises:
            NotReady: it cannot be used.
        """
        ...


@dataclass(frozen=True, slots=True)
class Candidates:
    """The model of one folder, as a GPU and as the processor would run it."""

    tokens: ModelTokens
    open_gpu: Callable[[], Graph]
    open_cpu: Callable[[], Graph]


class GpuUse:
    """The GPU as one embedder uses it; all its sessions leave it together."""

    def __init__(self, accelerator: Accelerator | None = None) -> None:
        self.accelerator = accelerator or Cuda()
        self.note = ""
        """Why it is not used, in a sentence."""
        self.fallbacks = 0
        self._is_in_use = False
        self._noting = threading.Lock()

    def place(self, candidates: Candidates, *, is_required: bool) -> Graph:
        """The model on the GPU when that works and agrees with the processor, else on the processor.

        Raises:
            NotReady: `is_required`, and the GPU cannot be used; or the model's file is damaged.
        """
        if not self.accelerator.is_there():
            if is_required:
                raise NotReady(f"This onnxruntime is built without CUDA; {INSTALL}.")
            return candidates.open_cpu()
        gpu = None if self.note else self._opened(candidates, is_required=is_required)
        self._is_in_use = self._is_in_use or gpu is not None
        return FailoverGraph(gpu, candidates.open_cpu, self)

    def _opened(self, candidates: Candidates, *, is_required: bool) -> Graph | None:
        try:
            gpu = candidates.open_gpu()
            _compare(gpu, candidates.open_cpu(), candidates.tokens)
        except (NotReady, EmbeddingFailed) as error:
            if self._is_in_use:  # by another session: it has failed since
                self.give_up(error.message)
            elif is_required:
                raise NotReady(error.message) from error
            else:
                self.note = error.message
                log.warning("gpu_not_used", reason=error.message)
            return None
        return gpu

    def give_up(self, reason: str) -> None:
        """Note that the GPU failed; counted once, however many sessions notice."""
        with self._noting:
            if self.note:
                return
            self.note, self.fallbacks = reason, self.fallbacks + 1
        log.error("gpu_given_up", reason=reason, fix="restart the server when the GPU is well again")


class FailoverGraph:
    """The model on a GPU for as long as that works, then on the processor.

    The batch at which it failed is run again there. A batch that fails on both is at fault itself, and
    the GPU stays in use.
    """

    def __init__(self, gpu: Graph | None, open_cpu: Callable[[], Graph], use: GpuUse) -> None:
        self._gpu = gpu
        self._use = use
        self._open_cpu = open_cpu
        self._cpu = open_cpu() if gpu is None else None
        self._opening = threading.Lock()

    @property
    def placement(self) -> Placement:
        """Where it runs now, and why there; a look that opens nothing."""
        gpu, cpu = self._gpu, self._cpu
        if cpu is not None and (gpu is None or self._use.note):
            placed = cpu.placement
        elif gpu is not None and not self._use.note:
            return gpu.placement
        else:  # another session gave the GPU up, this one has not run since
            placed = Placement("cpu", "onnxruntime", CPU_PROVIDER, "float32")
        return replace(placed, note=self._use.note, fallbacks=self._use.fallbacks)

    def run(self, ids: Ids, mask: Ids) -> Matrix:
        """Unit rows, one per row of `ids`."""
        gpu = self._gpu
        if gpu is None or self._use.note:
            self._gpu = None  # frees its memory when another session gave it up
            return self._processor().run(ids, mask)
        try:
            return _finite(gpu.run(ids, mask))
        except EmbeddingFailed as error:
            rows = self._processor().run(ids, mask)
            self._use.give_up(error.message)
            self._gpu = None
            return rows

    def _processor(self) -> Graph:
        with self._opening:
            if self._cpu is None:
                try:
                    self._cpu = self._open_cpu()
                except NotReady as error:
                    raise EmbeddingFailed(error.message) from error
            return self._cpu


def _finite(rows: Matrix) -> Matrix:
    """A GPU in trouble may answer instead of failing."""
    if not np.isfinite(rows).all():
        raise EmbeddingFailed(f"the GPU computed no numbers for a batch of {len(rows)} texts")
    return rows


def _compare(gpu: Graph, cpu: Graph, tokens: ModelTokens) -> None:
    for window in tokens.windows(PROBES):
        batch = pad([window])
        agreement = float(_finite(gpu.run(*batch))[0] @ cpu.run(*batch)[0])
        if agreement < LEAST_AGREEMENT:
            raise NotReady(
                f"the GPU's vectors are not the processor's (cosine {agreement:.4f}, at least "
                f"{LEAST_AGREEMENT} is wanted); mend its driver, or set models.device to 'cpu'."
            )
