"""The default runtime: onnxruntime in float32, on the processor or a CUDA GPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ragstone.errors import EmbeddingFailed, NotReady
from ragstone.models.card import GRAPH_FILE, damaged
from ragstone.models.ports import Placement
from ragstone.models.text_batches import Ids
from ragstone.types import Matrix

if TYPE_CHECKING:
    from ragstone.models.encoder import Graph

CPU_PROVIDER, CUDA_PROVIDER = "CPUExecutionProvider", "CUDAExecutionProvider"
CUDA_OPTIONS = {"use_tf32": "0"}
"""TensorFloat-32 would keep ten bits of each factor; the processor's vectors are made with float32."""


class OnnxGraph:
    """`model.onnx` in onnxruntime."""

    def __init__(self, folder: Path, threads: int, device: Literal["cpu", "cuda"] = "cpu") -> None:
        """Load the graph; `threads` work on one run on the processor.

        Raises:
            NotReady: onnxruntime cannot read the file, or does not get at the GPU.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads that spin while they wait gain a tenth when nothing else runs, and take the cores from
        # the event loop when something does: a third more processor time per query (docs/models.md).
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Log only what is fatal: failures come as exceptions and are logged where they are handled.
        options.log_severity_level = 4
        wanted = CUDA_PROVIDER if device == "cuda" else CPU_PROVIDER
        providers = [(CUDA_PROVIDER, CUDA_OPTIONS), CPU_PROVIDER] if device == "cuda" else [CPU_PROVIDER]
        try:
            # Its own fallback prints on stdout, which belongs to MCP there, and tells nobody else.
            self._session = onnxruntime.InferenceSession(
                str(folder / GRAPH_FILE), options, providers=providers, enable_fallback=0
            )
        except Exception as error:
            raise (_no_gpu(error) if device == "cuda" else damaged(folder / GRAPH_FILE, error)) from error
        in_use = self._session.get_providers()[0]
        if in_use != wanted:
            raise _no_gpu(f"it opened {in_use} instead")
        threads = threads if device == "cpu" else 0
        self.placement = Placement(device, "onnxruntime", in_use, "float32", threads)

    def run(self, ids: Ids, mask: Ids) -> Matrix:
        """Unit rows, one per row of `ids`."""
        try:
            outputs = self._session.run(["embedding"], {"input_ids": ids, "attention_mask": mask})
        except Exception as error:
            raise EmbeddingFailed(
                f"{self.placement} failed on a batch of {len(ids)} texts: {error}",
                runtime=str(self.placement),
            ) from error
        return np.asarray(outputs[0], np.float32)


class Cuda:
    """The CUDA GPU that onnxruntime finds."""

    def is_there(self) -> bool:
        """Whether this build of onnxruntime knows CUDA; opening shows whether there is a GPU."""
        return CUDA_PROVIDER in onnx_providers()

    def open(self, folder: Path, threads: int) -> Graph:
        """The model on the GPU.

        Raises:
            NotReady: there is none, or its libraries do not fit.
        """
        return OnnxGraph(folder, threads, "cuda")


def onnx_providers() -> tuple[str, ...]:
    """What this build of onnxruntime can run on, best first."""
    import onnxruntime

    return tuple(onnxruntime.get_available_providers())


def _no_gpu(reason: object) -> NotReady:
    return NotReady(
        f"onnxruntime cannot use the GPU ({reason}); check the driver and the CUDA libraries "
        "(docs/models.md), or set models.device to 'cpu'."
    )
