"""Opens the embedder that runs in this process."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from ragstone.errors import NotReady
from ragstone.models.batching import BatchingLimits, LocalEmbedder
from ragstone.models.card import BUNDLED_FOLDER, read_card
from ragstone.models.encoder import Graph, SentenceEncoder
from ragstone.models.gpu import Accelerator, Candidates, GpuUse
from ragstone.models.hardware import multiplies_bf16, usable_cores
from ragstone.models.tokens import ModelTokens

Runtime = Literal["auto", "onnxruntime", "openvino"]
Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, slots=True)
class LocalModelOptions:
    """What may be chosen about the local embedder; the defaults are right for most machines."""

    folder: Path = BUNDLED_FOLDER
    runtime: Runtime = "auto"
    threads: int = 0
    """Threads for one run of the model; 0 for as many as this process has cores."""
    device: Device = "auto"
    accelerator: Accelerator | None = None
    """What `device` finds a GPU by; CUDA in onnxruntime when None."""
    limits: BatchingLimits = field(default_factory=BatchingLimits)


async def open_local_embedder(options: LocalModelOptions | None = None) -> LocalEmbedder:
    """The bundled model, or the one in `options.folder`, ready to embed; whoever opens it closes it.

    Takes about 0.3 s, in a thread.

    Raises:
        NotReady: a model file is missing or damaged, or the runtime asked for is not installed.
    """
    chosen = options or LocalModelOptions()
    gpu = GpuUse(chosen.accelerator)
    load = partial(load_encoder, chosen.folder, chosen.runtime, chosen.threads, chosen.device, gpu)
    return LocalEmbedder(await asyncio.to_thread(load), chosen.limits, open_bulk_encoder=load)


def load_encoder(
    folder: Path = BUNDLED_FOLDER,
    runtime: Runtime = "auto",
    threads: int = 0,
    device: Device = "auto",
    gpu: GpuUse | None = None,
) -> SentenceEncoder:
    """The model in `folder` as a synchronous encoder; encoders that share `gpu` leave it together.

    Raises:
        NotReady: a model file is missing or damaged, or the runtime or device asked for is not there.
    """
    card = read_card(folder)
    tokens = ModelTokens(folder, card.max_tokens)
    threads = threads or usable_cores()
    open_cpu = partial(_load_graph, folder, runtime, threads)
    if device == "cpu" or (device == "auto" and runtime == "openvino"):
        return SentenceEncoder(card, tokens, open_cpu())
    if runtime == "openvino":
        raise NotReady(
            "models.device is 'cuda', but models.runtime 'openvino' runs on the processor; "
            "set models.runtime to 'auto'."
        )
    use = gpu or GpuUse()
    candidates = Candidates(tokens, partial(use.accelerator.open, folder, threads), open_cpu)
    return SentenceEncoder(card, tokens, use.place(candidates, is_required=device == "cuda"))


def _load_graph(folder: Path, runtime: Runtime, threads: int) -> Graph:
    if runtime == "auto":
        runtime = "openvino" if find_spec("openvino") and multiplies_bf16() else "onnxruntime"
    if runtime == "openvino":
        from ragstone.models.openvino_encoder import OpenVinoGraph

        # Without the instructions bfloat16 is emulated: slower than float32 and less exact.
        return OpenVinoGraph(folder, threads, "bf16" if multiplies_bf16() else "f32")
    from ragstone.models.onnx_encoder import OnnxGraph

    return OnnxGraph(folder, threads)
