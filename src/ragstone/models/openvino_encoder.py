"""The faster runtime where the processor multiplies bfloat16: OpenVINO (extra `openvino`)."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from ragstone.errors import EmbeddingFailed, NotReady
from ragstone.models.card import GRAPH_FILE, damaged
from ragstone.models.ports import Placement
from ragstone.models.text_batches import Ids
from ragstone.types import Matrix


class OpenVinoGraph:
    """`model.onnx` in OpenVINO, in `precision` "bf16" or "f32"."""

    def __init__(self, folder: Path, threads: int, precision: str = "bf16") -> None:
        """Load and compile the graph.

        Raises:
            NotReady: OpenVINO is not installed or cannot read the file.
        """
        try:
            import openvino
        except ImportError as error:
            raise NotReady(
                "models.runtime is 'openvino', which is not installed; `pip install ragstone[openvino]`, "
                "or set models.runtime to 'auto'."
            ) from error
        self.placement = Placement("cpu", "openvino", "CPU", precision, threads)
        options = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        try:
            self._compiled = openvino.Core().compile_model(str(folder / GRAPH_FILE), "CPU", options)
        except Exception as error:
            raise damaged(folder / GRAPH_FILE, error) from error
        self._local = threading.local()

    def run(self, ids: Ids, mask: Ids) -> Matrix:
        """Unit rows, one per row of `ids`."""
        # A request holds the tensors of one run: each thread has its own.
        if not hasattr(self._local, "request"):
            self._local.request = self._compiled.create_infer_request()
        try:
            outputs = self._local.request.infer({"input_ids": ids, "attention_mask": mask})
        except Exception as error:
            raise EmbeddingFailed(
                f"OpenVINO failed on a batch of {len(ids)} texts: {error}", runtime=str(self.placement)
            ) from error
        return np.array(outputs[0], np.float32)
