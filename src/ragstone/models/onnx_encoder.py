"""The default runtime: onnxruntime on the CPU, float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ragstone.errors import EmbeddingFailed
from ragstone.models.card import GRAPH_FILE, damaged
from ragstone.models.text_batches import Ids
from ragstone.types import Matrix


class OnnxGraph:
    """`model.onnx` in onnxruntime."""

    runtime = "onnxruntime float32"

    def __init__(self, folder: Path, threads: int) -> None:
        """Load the graph; `threads` work on one run.

        Raises:
            NotReady: onnxruntime cannot read the file.
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
        try:
            self._session = onnxruntime.InferenceSession(
                str(folder / GRAPH_FILE), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise damaged(folder / GRAPH_FILE, error) from error

    def run(self, ids: Ids, mask: Ids) -> Matrix:
        """Unit rows, one per row of `ids`."""
        try:
            outputs = self._session.run(["embedding"], {"input_ids": ids, "attention_mask": mask})
        except Exception as error:
            raise EmbeddingFailed(
                f"onnxruntime failed on a batch of {len(ids)} texts: {error}", runtime=self.runtime
            ) from error
        return np.asarray(outputs[0], np.float32)
