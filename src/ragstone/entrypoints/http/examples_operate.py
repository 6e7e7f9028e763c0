"""Examples of what operators see, for the description of the interface."""

from __future__ import annotations

from typing import Final

GPU: Final[dict[str, object]] = {
    "verdict": "No GPU was found. The embedding model runs on the processor (onnxruntime float32).",
    "devices": [],
    "providers": ["CPUExecutionProvider"],
    "wanted": "auto",
    "embedder": {
        "device": "cpu",
        "runtime": "onnxruntime",
        "provider": "CPUExecutionProvider",
        "precision": "float32",
        "threads": 2,
        "note": None,
        "fallbacks": 0,
    },
}

GPU_BENCHMARK: Final[dict[str, object]] = {
    "results": [{"device": "cpu", "batch_size": 8, "texts_per_s": 104.2, "ms_per_text": 9.6}],
    "rounds": 3,
    "duration_s": 6.1,
    "is_complete": True,
    "gpu_problem": "This onnxruntime is built without CUDA.",
    "best_speedup": None,
}
