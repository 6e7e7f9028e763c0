"""Routes for what the log tells: statistics, questions, documents, costs, errors, exports and imports."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from ragstone.analytics.export import ExportTable
from ragstone.analytics.import_log import ImportFormat
from ragstone.entrypoints import wire_analytics
from ragstone.entrypoints.http.analytics_schemas import (
    ErrorsQuery,
    ExportQuery,
    OfList,
    OfPeriod,
    QuestionsQuery,
    RowsQuery,
)
from ragstone.entrypoints.http.context import EngineOf, respond
from ragstone.entrypoints.requests import read_mapping
from ragstone.service.log_transfer import ImportRequest

router = APIRouter(prefix="/v1/analytics", tags=["analytics"])

MEDIA_TYPES: dict[str, str] = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}
IN_MEMORY_BYTES = 2**20


@router.get("/statistics", summary="Statistics of requests")
async def log_statistics(engine: EngineOf, asked: OfPeriod) -> Response:
    """How many requests, how they went, how long they took, by door, mode, cache and day."""
    return respond(wire_analytics.statistics(await engine.analytics.statistics(asked.period)))


@router.get("/questions", summary="Questions by what came of them")
async def log_questions(engine: EngineOf, asked: Annotated[QuestionsQuery, Query()]) -> Response:
    """Without hits, ill answered, unanswered, failed, slow or degraded ones; the most asked first."""
    found = await engine.analytics.questions(asked.kind, asked.period, asked.limit)
    return respond(wire_analytics.questions(found))


@router.get("/documents", summary="Popularity of documents")
async def log_documents(engine: EngineOf, asked: OfList) -> Response:
    """Documents by how many requests found them. A document that is gone has no title any more."""
    return respond(wire_analytics.documents(await engine.analytics.documents(asked.period, asked.limit)))


@router.get("/relevance", summary="Distribution of relevance")
async def log_relevance(engine: EngineOf, asked: OfPeriod) -> Response:
    """How well the best hits of questions fit, in ten bins."""
    return respond(wire_analytics.relevance(await engine.analytics.relevance(asked.period)))


@router.get("/patterns", summary="Patterns of questions")
async def log_patterns(engine: EngineOf, asked: OfList) -> Response:
    """Their words, hours of the day and lengths."""
    return respond(wire_analytics.patterns(await engine.analytics.patterns(asked.period, asked.limit)))


@router.get("/clusters", summary="Groups of similar questions")
async def log_clusters(engine: EngineOf, asked: OfList) -> Response:
    """Questions that mean about the same, among the 300 most asked ones."""
    return respond(wire_analytics.clusters(await engine.analytics.clusters(asked.period, asked.limit)))


@router.get("/costs", summary="Tokens and their cost")
async def log_costs(engine: EngineOf, asked: OfPeriod) -> Response:
    """By model and by day; prices are the setting `analytics.prices`."""
    return respond(wire_analytics.costs(await engine.analytics.costs(asked.period)))


@router.get("/errors", summary="Errors")
async def log_errors(engine: EngineOf, asked: Annotated[ErrorsQuery, Query()]) -> Response:
    """By type, service and severity, and the newest ones; without the words of requests."""
    return respond(
        wire_analytics.errors(await engine.analytics.errors(asked.period, asked.chosen, asked.limit))
    )


@router.get("/requests", summary="Logged requests")
async def log_requests(engine: EngineOf, asked: Annotated[RowsQuery, Query()]) -> Response:
    """The newest rows of the log that fit, newest first."""
    found = await engine.analytics.rows("query_logs", asked.period, asked.chosen, asked.limit)
    return respond(wire_analytics.rows("requests", found))


@router.get("/system", summary="System metrics")
async def log_system(engine: EngineOf, asked: OfList) -> Response:
    """CPU, memory, GPU, connections, hit rate and mean times of each process, newest first."""
    found = await engine.analytics.rows("system_metrics", asked.period, limit=asked.limit)
    return respond(wire_analytics.rows("system", found))


@router.get("/export/{table}", summary="Export a table of the log")
async def export_log(
    engine: EngineOf,
    table: Annotated[ExportTable, Path(description="Which table.")],
    asked: Annotated[ExportQuery, Query()],
) -> Response:
    """The rows of a period, oldest first, streamed. Parquet needs the extra `parquet` on the server."""
    form = asked.format
    pieces = engine.transfer.export(table, form, asked.period)
    # Awaited here, so that what cannot begin still gets its status.
    first = await anext(pieces)

    async def body() -> AsyncIterator[bytes]:
        async with contextlib.aclosing(pieces):
            yield first
            async for piece in pieces:
                if piece:
                    yield piece

    name = f'attachment; filename="{table}.{form}"'
    return StreamingResponse(
        body(),
        media_type=MEDIA_TYPES[form],
        headers={"Content-Disposition": name, "Cache-Control": "no-store"},
    )


@router.post("/import", summary="Import the log of another system")
async def import_log(
    request: Request,
    engine: EngineOf,
    form: Annotated[ImportFormat, Query(alias="format", description="jsonl or csv.")] = "jsonl",
    mapping: Annotated[
        str | None, Query(description='Our field to their column, as JSON: {"question": "user_input"}.')
    ] = None,
    dry_run: Annotated[bool, Query(description="Count only, add nothing.")] = False,
) -> Response:
    """The file is the body. A line that is no row is counted with its reason; repeating adds nothing."""
    asked = ImportRequest(form, read_mapping(mapping), dry_run)
    with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES, "w+b") as spooled:
        async for piece in request.stream():
            await to_thread.run_sync(spooled.write, piece)
        spooled.seek(0)
        lines = (line.decode("utf-8", "replace") for line in spooled)
        report = await engine.transfer.import_log(lines, asked)
    return respond(wire_analytics.imported(report))
