"""A GPU is taken when it is right, and left when it fails; the vectors are the same either way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ragstone.deadline import Deadline
from ragstone.errors import EmbeddingFailed, NotReady
from ragstone.models.batching import LocalEmbedder
from ragstone.models.encoder import Graph, SentenceEncoder
from ragstone.models.fakes import PretendedGpu
from ragstone.models.gpu import GpuUse
from ragstone.models.local import LocalModelOptions, load_encoder, open_local_embedder
from ragstone.models.text_batches import Ids
from ragstone.types import Matrix

TEXTS = ("The library opens at nine.", "A book may be kept for three weeks.", "owl")


def on(gpu: PretendedGpu) -> SentenceEncoder:
    """The bundled model with this GPU at hand."""
    return load_encoder(runtime="onnxruntime", gpu=GpuUse(gpu))


def test_a_gpu_that_agrees_is_taken(bundled: SentenceEncoder) -> None:
    """`auto` runs on it, and says so."""
    encoder = on(PretendedGpu())

    rows = encoder.encode(TEXTS)

    assert (encoder.placement.device, encoder.placement.note) == ("cuda", "")
    assert str(encoder.placement) == "onnxruntime float32 on CUDA"
    np.testing.assert_allclose(rows, bundled.encode(TEXTS), atol=1e-6)


@pytest.mark.parametrize(
    ("gpu", "reason"),
    [(PretendedGpu(is_broken=True), "made broken"), (PretendedGpu(tilt=0.2), "cosine 0.9")],
    ids=["does not open", "computes something else"],
)
def test_a_gpu_that_is_not_right_is_not_taken(gpu: PretendedGpu, reason: str) -> None:
    """`auto` goes on without and keeps the reason, which is no failure; `cuda` refuses to begin."""
    encoder = on(gpu)

    assert (encoder.placement.device, encoder.placement.fallbacks) == ("cpu", 0)
    assert reason in encoder.placement.note
    with pytest.raises(NotReady, match=reason):
        load_encoder(device="cuda", gpu=GpuUse(gpu))


def test_the_processor_is_taken_when_the_settings_say_so() -> None:
    """`cpu` does not even look for one."""
    gpu = PretendedGpu()

    encoder = load_encoder(device="cpu", gpu=GpuUse(gpu))

    assert (encoder.placement.device, gpu.opened) == ("cpu", 0)


def test_cuda_without_cuda_names_the_package() -> None:
    """The error says what to install and what else to set."""
    with pytest.raises(NotReady, match="onnxruntime-gpu"):
        load_encoder(runtime="onnxruntime", device="cuda", gpu=GpuUse(Absent()))
    with pytest.raises(NotReady, match=r"models\.runtime to 'auto'"):
        load_encoder(runtime="openvino", device="cuda")


@pytest.mark.parametrize("failure", ["is_failing", "is_silent_nonsense"])
def test_a_failing_gpu_loses_no_batch(bundled: SentenceEncoder, failure: str) -> None:
    """The batch at which it fails is computed by the processor, and so is all that follows."""
    gpu = PretendedGpu()
    encoder = on(gpu)
    encoder.encode(TEXTS)
    setattr(gpu, failure, True)

    during = encoder.encode(TEXTS)
    tried = gpu.runs
    setattr(gpu, failure, False)
    after = encoder.encode(TEXTS)

    np.testing.assert_allclose(during, bundled.encode(TEXTS), atol=1e-6)
    np.testing.assert_allclose(after, during, atol=1e-6)
    assert gpu.runs == tried
    assert (encoder.placement.device, encoder.placement.fallbacks) == ("cpu", 1)
    assert encoder.placement.note


def test_a_batch_that_fails_everywhere_leaves_the_gpu_in_use() -> None:
    """It is the batch's fault."""
    gpu = PretendedGpu()
    encoder = on(gpu)
    outside: Ids = np.full((1, 3), 10**6, np.int32)

    with pytest.raises(EmbeddingFailed, match="batch of 1 texts"):
        encoder._graph.run(outside, np.ones_like(outside))

    assert (encoder.placement.device, encoder.placement.fallbacks) == ("cuda", 0)


@pytest.mark.anyio
async def test_queries_and_passages_leave_the_gpu_together() -> None:
    """Both sessions go on with the processor; the failure is counted once."""
    gpu = PretendedGpu()
    embedder = await open_local_embedder(LocalModelOptions(runtime="onnxruntime", accelerator=gpu))
    before = await both(embedder)
    gpu.is_failing = True

    after = await both(embedder)

    assert gpu.opened == 2
    np.testing.assert_allclose(after, before, atol=1e-6)
    assert embedder.statistics().fallbacks == 1
    assert "out of memory" in embedder.placement.note
    await embedder.aclose()


async def both(embedder: LocalEmbedder) -> Matrix:
    """The vectors of a passage and of a query."""
    passages = await embedder.embed_passages(TEXTS[:1])
    return np.vstack([passages, await embedder.embed_query(TEXTS[1], Deadline.never())])


class Absent:
    """A machine whose onnxruntime knows no GPU."""

    def is_there(self) -> bool:
        """Never."""
        return False

    def open(self, folder: Path, threads: int) -> Graph:
        """Not reached."""
        raise AssertionError(f"{folder} was opened on no GPU")
