"""`ragstone gpu`: which devices there are, which one is used, and what each is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from ragstone.entrypoints.cli.context import (
    HomeOption,
    JsonOption,
    console,
    load_settings,
    print_json,
    quiet_logs,
    run_async,
)

if TYPE_CHECKING:
    from ragstone.config import Loaded
    from ragstone.entrypoints.wire import Wire


def gpu(
    context: typer.Context,
    is_measured: Annotated[
        bool, typer.Option("--benchmark", help="Measure processor and GPU by batch size.")
    ] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show GPUs and what the embedding model runs on; the running server's, when there is one.

    Example: ragstone gpu --benchmark
    """
    loaded = load_settings(context, home)
    quiet_logs(loaded)
    report, benchmark = run_async(_verified(loaded, is_measured=is_measured))
    if as_json:
        print_json({**report, "benchmark": benchmark} if is_measured else report)
        return
    _show(report)
    if benchmark is not None:
        _show_benchmark(benchmark)


async def _verified(loaded: Loaded, *, is_measured: bool) -> tuple[Wire, Wire | None]:
    from ragstone.entrypoints.cli.remote import RemoteBackend, find_server

    url = await find_server(loaded.home)
    if url is None:
        return await _verified_here(loaded, is_measured=is_measured)
    async with RemoteBackend.connect(url) as server:
        report = await server.call("GET", "/v1/gpu")
        return report, await server.call("POST", "/v1/gpu/benchmark") if is_measured else None


async def _verified_here(loaded: Loaded, *, is_measured: bool) -> tuple[Wire, Wire | None]:
    from anyio import to_thread

    from ragstone.entrypoints import wire_operate
    from ragstone.models.card import BUNDLED_FOLDER
    from ragstone.models.local import load_encoder
    from ragstone.operate.gpu import GpuVerifier

    models = loaded.settings.models
    folder = models.embedding_path or BUNDLED_FOLDER
    encoder = await to_thread.run_sync(load_encoder, folder, models.runtime, models.threads, models.device)
    verifier = GpuVerifier(models, lambda: encoder.placement)
    report = wire_operate.gpu(await verifier.report())
    return report, wire_operate.gpu_benchmark(await verifier.benchmark()) if is_measured else None


def _show(report: Wire) -> None:
    used = cast("Wire", report["embedder"])
    shown = console()
    shown.print(str(report["verdict"]), markup=False)
    for device in cast("list[Wire]", report["devices"]):
        taken, whole = (cast("int", device[name]) / 2**30 for name in ("used_bytes", "total_bytes"))
        shown.print(f"  {device['name']}: {device['kind']}, {taken:.1f} of {whole:.1f} GiB", markup=False)
    shown.print(f"onnxruntime can use: {', '.join(cast('list[str]', report['providers']))}")
    shown.print(
        f"models.device: {report['wanted']}; provider: {used['provider']}; threads: {used['threads']}"
    )


def _show_benchmark(found: Wire) -> None:
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    table.add_column("device")
    for name in ("batch", "texts/s", "ms a text"):
        table.add_column(name, justify="right")
    for row in cast("list[Wire]", found["results"]):
        table.add_row(*(str(row[name]) for name in ("device", "batch_size", "texts_per_s", "ms_per_text")))
    shown = console()
    shown.print(table)
    if not found["is_complete"]:
        shown.print("The time was used up before every size was measured.")
    if found["gpu_problem"]:
        shown.print(f"No GPU was measured: {found['gpu_problem']}", markup=False)
    else:
        shown.print(f"The GPU is up to {found['best_speedup']} times as fast.")
