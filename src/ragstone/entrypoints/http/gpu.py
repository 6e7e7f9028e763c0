"""Routes about the hardware: which devices there are, and what they are worth."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from ragstone.entrypoints import wire_operate
from ragstone.entrypoints.http.context import EngineOf, respond, while_connected
from ragstone.entrypoints.http.examples import documented
from ragstone.entrypoints.http.examples_operate import GPU, GPU_BENCHMARK
from ragstone.entrypoints.http.schemas import BenchmarkGpu

router = APIRouter(prefix="/v1/gpu", tags=["status"])


@router.get("", summary="Devices", responses=documented({200: GPU}))
async def gpu(engine: EngineOf) -> Response:
    """GPUs of this machine, what onnxruntime can run on, and where the embedding model runs."""
    return respond(wire_operate.gpu(await engine.gpu.report()))


@router.post("/benchmark", summary="Measure the devices", responses=documented({200: GPU_BENCHMARK}))
async def benchmark_gpu(engine: EngineOf, request: Request, body: BenchmarkGpu | None = None) -> Response:
    """Texts per second on the processor, and on the GPU where there is one, by batch size.

    One at a time (429 otherwise), beside requests and behind them; leaving ends it.
    """
    asked = body or BenchmarkGpu()
    found = await while_connected(request, engine.gpu.benchmark(asked.limit_s))
    return respond(wire_operate.gpu_benchmark(found))
