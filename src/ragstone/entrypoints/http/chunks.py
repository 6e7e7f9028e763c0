"""Routes for chunks: a preview without storing, figures, what stands around one."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ragstone.deadline import Deadline
from ragstone.entrypoints import wire
from ragstone.entrypoints.http.context import EngineOf, respond, while_connected
from ragstone.entrypoints.http.examples import PREVIEW_BODY, PREVIEWED, documented
from ragstone.entrypoints.http.schemas import PreviewOptions, PreviewText
from ragstone.entrypoints.http.uploads import is_form, read_json, read_one_file
from ragstone.entrypoints.requests import MOST_NEIGHBOURS, read_chunking
from ragstone.errors import InvalidRequest
from ragstone.ingest.request import inline_file
from ragstone.runtime.engine import Engine
from ragstone.types import ChunkPreview, DocumentId, Expansion, RawFile

router = APIRouter(prefix="/v1", tags=["chunks"])


@router.post(
    "/chunk-preview",
    summary="Preview chunks",
    openapi_extra=PREVIEW_BODY,
    responses=documented({200: PREVIEWED}),
)
async def preview_chunks(request: Request, engine: EngineOf) -> Response:
    """How a text (JSON) or one file (multipart) would be cut, with figures; nothing is stored."""
    if is_form(request):
        options: PreviewOptions
        file, options = await read_one_file(request, engine, PreviewOptions)
    else:
        options = body = await read_json(request, PreviewText)
        file = inline_file(body.text, engine.settings.limits.text_max_chars)
    return respond(wire.chunk_preview(await while_connected(request, _preview(engine, file, options))))


@router.get("/chunks/{chunk_id}", summary="Read around a chunk")
async def read_chunk(
    engine: EngineOf,
    chunk_id: str,
    context_chars: Annotated[int | None, Query(ge=0, le=20_000)] = None,
    neighbours: Annotated[int | None, Query(ge=0, le=MOST_NEIGHBOURS)] = None,
    expand: Literal["section"] | None = None,
) -> Response:
    """A chunk with so many characters (500) or chunks around it, or with the whole sections it touches."""
    if (context_chars, neighbours, expand).count(None) < 2:
        raise InvalidRequest("Give one of context_chars, neighbours and expand.")
    if neighbours is None and expand is None:
        chars = 500 if context_chars is None else context_chars
        return respond(wire.passage(await engine.documents.read_around(chunk_id, chars)))
    expansion = Expansion(neighbours or 0, expand == "section")
    return respond(wire.passage(await engine.chunks.around(chunk_id, expansion)))


@router.get("/documents/{document_id}/chunk-statistics", summary="Figures of a document's chunks")
async def document_statistics(engine: EngineOf, document_id: str) -> Response:
    """How many chunks, how long they are, and what neighbours share."""
    found = await engine.chunks.document_statistics(DocumentId(document_id))
    return respond(wire.chunk_statistics(found))


@router.get("/collections/{name}/chunk-statistics", summary="Figures of a collection's chunks")
async def collection_statistics(engine: EngineOf, name: str) -> Response:
    """How many chunks, how long they are, and what neighbours share."""
    return respond(wire.chunk_statistics(await engine.chunks.collection_statistics(name)))


async def _preview(engine: Engine, file: RawFile, options: PreviewOptions) -> ChunkPreview:
    chunking = read_chunking(
        engine.settings, options.chunk_strategy, options.chunk_max_tokens, options.chunk_overlap_tokens
    )
    return await engine.chunks.preview(
        file, chunking, Deadline.never(), title=options.title, limit=options.limit
    )
