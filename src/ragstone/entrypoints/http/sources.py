"""Routes for documents that the server gets by itself: pages, folders, the sources of the catalogue."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

from ragstone.entrypoints import wire, wire_work
from ragstone.entrypoints.http.context import EngineOf, respond, while_connected
from ragstone.entrypoints.http.examples import WRITTEN, documented
from ragstone.entrypoints.http.schemas import FetchPage, ImportPath, SyncSource
from ragstone.entrypoints.requests import read_metadata

router = APIRouter(prefix="/v1", tags=["sources"])


@router.post("/documents/fetch", summary="Fetch a page", responses=documented({201: WRITTEN}))
async def fetch_page(request: Request, engine: EngineOf, body: FetchPage) -> Response:
    """Fetch a page of the web and take it in, or replace it; searchable when the response comes.

    Only public addresses are fetched, and those that `security.fetch_allowed_networks` names.
    """
    metadata = None if body.metadata is None else read_metadata(body.metadata, engine.settings)
    work = engine.sources.fetch(body.url, collection=body.collection, title=body.title, metadata=metadata)
    written = await while_connected(request, work)
    return respond(wire.written(written), HTTPStatus.CREATED if written.status == "added" else HTTPStatus.OK)


@router.post("/documents/import", summary="Import a path of the server")
async def import_path(request: Request, engine: EngineOf, body: ImportPath) -> Response:
    """Take in a file or a folder of the server's machine; one result for each file.

    207 when one of them failed. Only what lies below `ingest.allowed_roots` is read.
    """
    metadata = None if body.metadata is None else read_metadata(body.metadata, engine.settings)
    work = engine.sources.import_path(
        Path(body.path),
        collection=body.collection,
        include=body.include,
        exclude=body.exclude,
        metadata=metadata,
    )
    found = wire_work.imported(await while_connected(request, work))
    results = found["results"]
    is_mixed = isinstance(results, list) and any(result["status"] == "failed" for result in results)
    return respond(found, HTTPStatus.MULTI_STATUS if is_mixed else HTTPStatus.OK)


@router.get("/sources", summary="List sources")
async def list_sources(engine: EngineOf) -> Response:
    """Every source of the catalogue with its newest run."""
    return respond({"sources": [wire_work.source(found) for found in await engine.sources.list()]})


@router.get("/sources/{name}", summary="Get a source")
async def get_source(engine: EngineOf, name: str) -> Response:
    """One source with its newest runs."""
    return respond(wire_work.source(await engine.sources.get(name)))


@router.post("/sources/{name}/sync", summary="Sync a source")
async def sync_source(engine: EngineOf, name: str, body: SyncSource | None = None) -> Response:
    """Bring the documents of a source up to date; the run goes on when the client leaves.

    202 when it takes longer than `wait_s`. What a run could not do is in its `error` and `failures`.
    """
    asked = body or SyncSource()
    wait_s = engine.settings.ingest.wait_s if asked.wait_s is None else asked.wait_s
    run = await engine.sources.sync(name, is_forced=asked.force, wait_s=wait_s)
    return respond(
        wire_work.source_run(run), HTTPStatus.ACCEPTED if run.state == "running" else HTTPStatus.OK
    )
