"""Routes for documents and collections."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ragstone.deadline import Deadline
from ragstone.entrypoints import wire, wire_work
from ragstone.entrypoints.http.context import EngineOf, respond, while_connected
from ragstone.entrypoints.http.examples import ADD_BODY, REPLACE_BODY, WRITTEN, documented
from ragstone.entrypoints.http.schemas import AddText, CreateCollection, EditDocument, ReplaceText
from ragstone.entrypoints.http.uploads import (
    REPLACE_FIELDS,
    ReceivedFile,
    Upload,
    is_form,
    read_json,
    receive_upload,
)
from ragstone.entrypoints.requests import read_chunking, read_filter, read_metadata
from ragstone.errors import InvalidRequest, RagstoneError
from ragstone.ingest.queue import Accepted
from ragstone.ingest.request import IngestRequest, inline_file
from ragstone.runtime.engine import Engine
from ragstone.service.pages import DocumentQuery
from ragstone.types import (
    DEFAULT_COLLECTION,
    DocumentId,
    Filter,
    RawFile,
    Span,
    Written,
)

SORT = "created_at, updated_at, title, size_bytes or chunk_count; with a minus sign the highest first."

router = APIRouter(prefix="/v1", tags=["documents"])


@router.post(
    "/documents",
    status_code=201,
    summary="Add documents",
    openapi_extra=ADD_BODY,
    responses=documented({201: WRITTEN, 202: {"job_id": "…", "document_id": "…", "status": "running"}}),
)
async def add_documents(request: Request, engine: EngineOf) -> Response:
    """Add inline text (JSON) or files (multipart). Text is searchable when the response comes.

    Files are waited for up to `wait_s`, then go on as a job (202). Several files give one result each.
    """
    if is_form(request):
        return await _add_files(request, engine)
    body = await read_json(request, AddText)
    written = await while_connected(request, _add_text(engine, body))
    return respond(wire.written(written), _status(written))


@router.get("/documents", summary="List documents")
async def list_documents(
    engine: EngineOf,
    collection: str | None = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    filter: Annotated[str | None, Query(description="A filter as JSON.")] = None,  # noqa: A002
    sort: Annotated[str, Query(description=SORT)] = "created_at",
) -> Response:
    """A page of documents, oldest first unless `sort` says otherwise; `next_cursor` leads on."""
    wanted = DocumentQuery(collection, _filter(filter), sort)
    page = await engine.documents.list(wanted, cursor=cursor, limit=limit)
    return respond(wire.document_page(page))


@router.delete("/documents", summary="Remove documents by filter")
async def remove_documents(engine: EngineOf, filter: str, collection: str = "default") -> Response:  # noqa: A002
    """Remove every document of a collection that the filter (JSON) matches."""
    removed = await engine.documents.remove_matching(collection, _required_filter(filter))
    return respond(wire.removed_documents(removed))


@router.get("/documents/{document_id}", summary="Get a document")
async def get_document(engine: EngineOf, document_id: str) -> Response:
    """One document without its text."""
    return respond(wire.document(await engine.documents.get(DocumentId(document_id))))


@router.get("/documents/{document_id}/text", summary="Read a document's text")
async def read_document(
    engine: EngineOf, document_id: str, start: int = 0, end: int | None = None
) -> Response:
    """Characters `[start, end)` of the stored text (code points), with their page and section."""
    span = None if end is None and start == 0 else Span(start, start + 100_000 if end is None else end)
    return respond(wire.passage(await engine.documents.read(DocumentId(document_id), span)))


@router.put(
    "/documents/{document_id}",
    summary="Replace a document",
    openapi_extra=REPLACE_BODY,
    responses=documented({200: {**WRITTEN, "status": "replaced", "version": 2}}),
)
async def replace_document(request: Request, engine: EngineOf, document_id: str) -> Response:
    """New content for a document, as JSON or as one file; when this returns no old text can be found."""
    if is_form(request):
        async with receive_upload(request, engine, REPLACE_FIELDS) as upload:
            if len(upload.files) != 1:
                raise InvalidRequest(f"One document is replaced by one file, not by {len(upload.files)}.")
            return await _upload_one(engine, upload, DocumentId(document_id))
    body = await read_json(request, ReplaceText)
    work = _add_text(engine, body, DocumentId(document_id))
    return respond(wire.written(await while_connected(request, work)))


@router.patch("/documents/{document_id}", summary="Edit title or metadata")
async def edit_document(engine: EngineOf, document_id: str, body: EditDocument) -> Response:
    """Change title or metadata; nothing is embedded again."""
    metadata = None if body.metadata is None else read_metadata(body.metadata, engine.settings)
    return respond(wire.document(await engine.documents.edit(DocumentId(document_id), body.title, metadata)))


@router.delete("/documents/{document_id}", summary="Remove a document", responses=documented({200: WRITTEN}))
async def remove_document(engine: EngineOf, document_id: str) -> Response:
    """Remove a document; when this returns its text is unreachable."""
    return respond(wire.removed_document(await engine.documents.remove(DocumentId(document_id))))


@router.get("/collections", summary="List collections", tags=["collections"])
async def list_collections(engine: EngineOf) -> Response:
    """Every collection with its counts."""
    return respond({"collections": [wire.collection(found) for found in await engine.collections.list()]})


@router.post("/collections", status_code=201, summary="Create a collection", tags=["collections"])
async def create_collection(engine: EngineOf, body: CreateCollection) -> Response:
    """Make a collection with a language or a chunking of its own; adding to a new name makes it, too."""
    chunking = read_chunking(
        engine.settings, body.chunk_strategy, body.chunk_max_tokens, body.chunk_overlap_tokens
    )
    made = await engine.collections.create(body.name, body.language, chunking)
    return respond(wire.collection(made), HTTPStatus.CREATED)


@router.get("/collections/{name}", summary="Get a collection", tags=["collections"])
async def get_collection(engine: EngineOf, name: str) -> Response:
    """One collection with its counts."""
    return respond(wire.collection(await engine.collections.get(name)))


@router.get("/collections/{name}/statistics", summary="Count documents", tags=["collections"])
async def count_documents(
    engine: EngineOf,
    name: str,
    by: Annotated[str, Query(description="A metadata key, or $media_type, $language.")] = "$media_type",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """Documents, chunks and bytes by the most frequent values of a key; null where documents have none."""
    return respond(wire.collection_counts(await engine.collections.counts(name, by, limit)))


@router.delete("/collections/{name}", summary="Remove a collection", tags=["collections"])
async def remove_collection(engine: EngineOf, name: str) -> Response:
    """Remove a collection with all its documents."""
    return respond(wire.removed_collection(await engine.collections.remove(name)))


async def _add_text(
    engine: Engine, body: AddText | ReplaceText, document_id: DocumentId | None = None
) -> Written:
    new = body if isinstance(body, AddText) else None
    asked = IngestRequest(
        file=inline_file(body.text, engine.settings.limits.text_max_chars),
        collection=DEFAULT_COLLECTION if new is None else new.collection,
        title=body.title,
        source=None if new is None else new.source,
        metadata=None if body.metadata is None else read_metadata(body.metadata, engine.settings),
        document_id=document_id,
    )
    return await engine.documents.add(asked, Deadline.never())


async def _add_files(request: Request, engine: Engine) -> Response:
    async with receive_upload(request, engine) as upload:
        if len(upload.files) == 1:
            return await _upload_one(engine, upload)
        queued = [(file.name, await _enqueue(engine, upload, file)) for file in upload.files]
    waiting = Deadline.after(upload.wait_s)
    results = [{"name": name, **await _result(engine, accepted, waiting)} for name, accepted in queued]
    is_mixed = any(result["status"] in ("failed", "running") for result in results)
    return respond({"results": results}, HTTPStatus.MULTI_STATUS if is_mixed else HTTPStatus.CREATED)


async def _upload_one(engine: Engine, upload: Upload, document_id: DocumentId | None = None) -> Response:
    (file,) = upload.files
    if file.refusal is not None:
        raise file.refusal
    accepted = await engine.jobs.enqueue(
        _file_request(upload, file, document_id), priority=upload.priority_of(file), incoming=file.incoming
    )
    done = await engine.jobs.outcome(accepted, Deadline.after(upload.wait_s))
    if isinstance(done, Accepted):
        return respond(wire_work.accepted(done), HTTPStatus.ACCEPTED)
    return respond(wire.written(done), _status(done))


async def _enqueue(engine: Engine, upload: Upload, file: ReceivedFile) -> Accepted | RagstoneError:
    if file.refusal is not None:
        return file.refusal
    try:
        return await engine.jobs.enqueue(
            _file_request(upload, file), priority=upload.priority_of(file), incoming=file.incoming
        )
    except RagstoneError as error:
        return error


async def _result(engine: Engine, accepted: Accepted | RagstoneError, waiting: Deadline) -> dict[str, object]:
    """What one file of several came to; its failure is not the others'."""
    try:
        if isinstance(accepted, RagstoneError):
            raise accepted
        done = await engine.jobs.outcome(accepted, waiting)
    except RagstoneError as error:
        return {"status": "failed", "error": wire.error(error)}
    return wire_work.accepted(done) if isinstance(done, Accepted) else wire.written(done)


def _file_request(upload: Upload, file: ReceivedFile, document_id: DocumentId | None = None) -> IngestRequest:
    # A replaced document keeps its source: the new file's name may be another document's.
    source = None if document_id is not None else upload.source or file.name
    return IngestRequest(
        file=RawFile(b"", file.name, file.media_type),  # the bytes are those received
        collection=upload.collection,
        title=upload.title,
        source=source,
        metadata=upload.metadata,
        document_id=document_id,
        is_original_kept=True,
    )


def _status(done: Written) -> HTTPStatus:
    return HTTPStatus.CREATED if done.status == "added" else HTTPStatus.OK


def _filter(text: str | None) -> Filter | None:
    return None if text is None else _required_filter(text)


def _required_filter(text: str) -> Filter:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"The filter {text[:200]!r} is not JSON: {error}.") from error
    return read_filter(found)
