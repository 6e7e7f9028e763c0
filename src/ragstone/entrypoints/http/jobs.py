"""Routes for jobs: list, look, follow, cancel, try again."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ragstone.entrypoints import wire_work
from ragstone.entrypoints.http.context import EngineOf, respond
from ragstone.entrypoints.http.examples import JOB, documented
from ragstone.entrypoints.http.streaming import Frame, stream
from ragstone.store.job_rows import Job
from ragstone.types import JobId, JobState

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.get("", summary="List jobs", responses=documented({200: {"jobs": [JOB], "next_cursor": None}}))
async def list_jobs(
    engine: EngineOf,
    state: JobState | None = None,
    collection: str | None = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """A page of jobs, newest first; `next_cursor` leads on."""
    page = await engine.jobs.list(state=state, collection=collection, cursor=cursor, limit=limit)
    return respond(wire_work.job_page(page))


@router.get("/{job_id}", summary="Get a job", responses=documented({200: JOB}))
async def get_job(engine: EngineOf, job_id: str) -> Response:
    """How a job is doing, its attempts so far, and a paragraph that explains it."""
    return respond(wire_work.explained_job(await engine.jobs.get(JobId(job_id))))


@router.get("/{job_id}/events", summary="Follow a job")
async def follow_job(request: Request, engine: EngineOf, job_id: str) -> Response:
    """The job as an event now, at every change and at its end (`progress`, then `finished`).

    Server-sent events, or NDJSON by `Accept`.
    """
    return await stream(request, _frames(engine.jobs.events(JobId(job_id))))


@router.post("/{job_id}/cancel", summary="Cancel a job", responses=documented({200: JOB}))
async def cancel_job(engine: EngineOf, job_id: str) -> Response:
    """Cancel a job that waits or runs; its document is not stored. 409 once it has come to its end."""
    return respond(wire_work.explained_job(await engine.jobs.cancel(JobId(job_id))))


@router.post("/{job_id}/retry", summary="Try a failed job again", responses=documented({200: JOB}))
async def retry_job(engine: EngineOf, job_id: str) -> Response:
    """Queue a failed job again. 409 when it is not failed, or failed for its file, which is not kept."""
    return respond(wire_work.explained_job(await engine.jobs.retry(JobId(job_id))))


async def _frames(jobs: AsyncGenerator[Job, None]) -> AsyncGenerator[Frame, None]:
    seq = 0
    async with contextlib.aclosing(jobs):
        async for job in jobs:
            name = "finished" if job.is_over else "progress"
            yield Frame(name, seq, {"event": name, "seq": seq, **wire_work.job(job)})
            seq += 1
