"""`ragstone jobs` and `ragstone worker`."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from ragstone.entrypoints.cli.context import (
    HomeOption,
    JsonOption,
    all_pages,
    console,
    load_settings,
    own_engine,
    print_json,
    run_on,
    with_backend,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ragstone.config import Loaded
    from ragstone.entrypoints.cli.backend import Backend
    from ragstone.entrypoints.wire import Wire

STATES = ("queued", "running", "ready", "failed", "cancelled")
FALLBACK_PLACES = 4
"""For `ragstone worker` where the server has none of its own."""

app = typer.Typer(help="Look at background work, stop it, try it again.", no_args_is_help=True)

JobArgument = Annotated[str, typer.Argument(metavar="ID", help="The job's id.")]


@app.command("list")
def list_jobs(
    context: typer.Context,
    state: Annotated[
        str | None, typer.Option("--state", "-s", help=f"Only these: {', '.join(STATES)}.")
    ] = None,
    collection: Annotated[str | None, typer.Option("-c", "--collection", help="Only of this one.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """List jobs, newest first."""
    from ragstone.entrypoints.requests import read_job_state

    wanted = None if state is None else read_job_state(state)

    async def listed(backend: Backend) -> list[Wire]:
        return await all_pages("jobs", limit, partial(backend.list_jobs, wanted, collection))

    from ragstone.entrypoints.cli.show import job_table

    found = with_backend(load_settings(context, home), listed)
    if as_json:
        print_json({"jobs": found})
    elif not found:
        print("No jobs; uploads to a server make some.")
    else:
        console().print(job_table(found))


@app.command("show")
def show_job(
    context: typer.Context, job_id: JobArgument, as_json: JsonOption = False, home: HomeOption = None
) -> None:
    """Show a job: state, stage, progress, attempts, result or error."""
    from ragstone.entrypoints.cli.show import job_card

    job = _with_job(context, home, lambda backend: backend.get_job(job_id))
    if as_json:
        print_json(job)
    else:
        job_card(console(), job)


@app.command("explain")
def explain_job(
    context: typer.Context, job_id: JobArgument, as_json: JsonOption = False, home: HomeOption = None
) -> None:
    """Say in a paragraph what happened to a job, in which stage, how often, and what to do."""
    job = _with_job(context, home, lambda backend: backend.get_job(job_id))
    if as_json:
        print_json({"id": job["id"], "state": job["state"], "explanation": job["explanation"]})
    else:
        print(job["explanation"])


@app.command("retry")
def retry_job(
    context: typer.Context, job_id: JobArgument, as_json: JsonOption = False, home: HomeOption = None
) -> None:
    """Queue a failed job again, after its cause was mended."""
    job = _with_job(context, home, lambda backend: backend.retry_job(job_id))
    if as_json:
        print_json(job)
    else:
        print(f"queued {job['id']} ({job['name']}) again")


@app.command("cancel")
def cancel_job(
    context: typer.Context, job_id: JobArgument, as_json: JsonOption = False, home: HomeOption = None
) -> None:
    """Cancel a job that waits or runs; its document is not stored."""
    job = _with_job(context, home, lambda backend: backend.cancel_job(job_id))
    if as_json:
        print_json(job)
    else:
        print(f"cancelled {job['id']} ({job['name']})")


def worker(
    context: typer.Context,
    places: Annotated[
        int | None, typer.Option("--places", "-n", min=1, max=64, help="Jobs at once; ingest.workers.")
    ] = None,
    is_until_empty: Annotated[
        bool, typer.Option("--until-empty", help="End when no job waits or runs any more.")
    ] = False,
    metrics_port: Annotated[
        int | None, typer.Option(help="Port for /metrics of this worker; telemetry.metrics_port.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Work on the jobs of this home until Ctrl-C, beside the server and other workers.

    Example: ragstone worker --places 2 --metrics-port 9321
    """
    from ragstone.telemetry.logs import start_logs

    loaded = load_settings(context, home, {"telemetry.metrics_port": metrics_port})
    start_logs(loaded.settings)
    count = places or loaded.settings.ingest.workers or FALLBACK_PLACES
    run_on(_work(loaded, count, is_until_empty=is_until_empty))


async def _work(loaded: Loaded, places: int, *, is_until_empty: bool) -> None:
    from ragstone.entrypoints.http.exporter import exporting, watching_loop
    from ragstone.operate.signals import on_end

    stopped = asyncio.Event()
    async with own_engine(loaded) as engine, exporting(engine), watching_loop(engine):

        def stop() -> None:
            """Take nothing new."""
            engine.drain.begin()
            stopped.set()

        on_end(stop)
        engine.worker.start(places)
        engine.sampler.start()
        print(f"Ragstone works on {places} jobs at once; Ctrl-C stops it.", file=sys.stderr, flush=True)
        waiting: set[asyncio.Task[object]] = {asyncio.create_task(stopped.wait())}
        if is_until_empty:
            waiting.add(asyncio.create_task(engine.jobs.drained()))
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in waiting:
                task.cancel()


def _with_job(context: typer.Context, home: HomeOption, work: Callable[[Backend], Awaitable[Wire]]) -> Wire:
    return with_backend(load_settings(context, home), work)
