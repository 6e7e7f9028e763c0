"""Reading request bodies: JSON against a model, multipart forms with files."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar, get_args

from anyio import to_thread
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from ragstone.entrypoints.http.multipart import FilePart, FormReader
from ragstone.entrypoints.http.schemas import RequestModel
from ragstone.entrypoints.requests import read_metadata
from ragstone.errors import DocumentRejected, InvalidRequest
from ragstone.ingest.sniff import sniff
from ragstone.runtime.engine import Engine
from ragstone.settings import Settings
from ragstone.store.incoming import IncomingFile
from ragstone.types import JobPriority, Metadata, RawFile

FIELDS = ("collection", "title", "source", "metadata", "wait_s", "priority")
REPLACE_FIELDS = ("title", "metadata", "wait_s", "priority")
"""A document that is replaced keeps its collection and source."""
PRIORITIES: tuple[JobPriority, ...] = get_args(JobPriority)
MOST_INTERACTIVE_FILES = 10
LONGEST_WAIT_S = 600.0

Model = TypeVar("Model", bound=RequestModel)


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """A file on disk; `refusal` when it need not be queued at all."""

    name: str
    media_type: str | None
    incoming: IncomingFile
    refusal: DocumentRejected | None


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart form: its files and what holds for all of them."""

    files: tuple[ReceivedFile, ...]
    collection: str
    title: str | None
    source: str | None
    metadata: Metadata | None
    wait_s: float
    priority: JobPriority | None
    interactive_max_bytes: int

    def priority_of(self, file: ReceivedFile) -> JobPriority:
        """As asked for; else small files of small uploads go first."""
        if self.priority is not None:
            return self.priority
        is_small = file.incoming.size_bytes <= self.interactive_max_bytes
        return "interactive" if is_small and len(self.files) <= MOST_INTERACTIVE_FILES else "bulk"


def is_form(request: Request) -> bool:
    """Whether the body is declared as a form with files."""
    return request.headers.get("content-type", "").lower().startswith("multipart/form-data")


async def read_json(request: Request, model: type[Model]) -> Model:
    """The body as a model.

    Raises:
        HTTPException: 415 when the body is not declared as JSON.
        RequestValidationError: it is not JSON, or does not fit.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise HTTPException(
            415,
            f"The body is {media_type or 'of no type'}; send application/json, or multipart/form-data.",
        )
    body = await request.body()
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        found = {"type": "json_invalid", "loc": ("body",), "msg": str(error), "ctx": {"error": str(error)}}
        raise RequestValidationError([found]) from error
    return _validated(model, value)


@asynccontextmanager
async def receive_upload(
    request: Request, engine: Engine, fields: Sequence[str] = FIELDS
) -> AsyncIterator[Upload]:
    """The form of an upload, its files on disk; what was not queued by the end of the block is gone.

    The names of the file parts do not matter; `fields` are the other ones that it may have.

    Raises:
        InvalidRequest: an unknown field, no file, or a value that does not fit.
        FileTooLarge: a file is over `ingest.max_file_bytes`; raised as soon as it is.
        QueueFull: as many jobs wait as may; raised before the body is read.
    """
    await engine.jobs.check_room()
    form = FormReader(engine.jobs.receive, engine.settings.ingest.max_file_bytes)
    try:
        await form.read(request)
        _check_fields(form, fields)
        yield Upload(
            files=tuple([await _received(part) for part in form.files]),
            collection=form.fields.get("collection", "default"),
            title=form.fields.get("title"),
            source=form.fields.get("source"),
            metadata=_metadata(form.fields.get("metadata"), engine.settings),
            wait_s=_wait_s(form.fields.get("wait_s"), engine.settings.ingest.wait_s),
            priority=_priority(form.fields.get("priority")),
            interactive_max_bytes=engine.settings.ingest.interactive_max_bytes,
        )
    finally:
        await form.aclose()


async def read_one_file(request: Request, engine: Engine, model: type[Model]) -> tuple[RawFile, Model]:
    """The one file of a form and its other fields as a model.

    Raises:
        InvalidRequest: an unknown field, or not exactly one file.
        RequestValidationError: a field does not fit.
        FileTooLarge: the file is over `ingest.max_file_bytes`.
    """
    form = FormReader(engine.jobs.receive, engine.settings.ingest.max_file_bytes)
    try:
        await form.read(request)
        _check_parts(form, tuple(model.model_fields))
        if len(form.files) != 1:
            raise InvalidRequest(f"One file is cut at a time, not {len(form.files)}.")
        part = form.files[0]
        content = await to_thread.run_sync(part.incoming.read)
        return RawFile(content, part.name, part.media_type), _validated(model, form.fields)
    finally:
        await form.aclose()


def _validated(model: type[Model], value: object) -> Model:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise RequestValidationError(
            [{**found, "loc": ("body", *found["loc"])} for found in error.errors()]
        ) from error


def _check_parts(form: FormReader, known: Sequence[str]) -> None:
    unknown = [name for name in form.fields if name not in known]
    if unknown:
        raise InvalidRequest(
            f"There is no form field {unknown[0]!r}; there are files and {', '.join(known)}."
        )
    if not form.files:
        raise InvalidRequest("The form holds no file; add at least one part with a filename.")


def _check_fields(form: FormReader, known: Sequence[str]) -> None:
    _check_parts(form, known)
    fields, files = form.fields, form.files
    if len(files) > 1 and ("title" in fields or "source" in fields):
        raise InvalidRequest(
            "title and source name one document; leave them out when you send several files."
        )
    names = [part.name for part in files]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidRequest(
            f"Two files are named {twice!r}; a name is a document's source, so the second would replace "
            "the first. Rename one, or send them one by one with a source each."
        )


async def _received(part: FilePart) -> ReceivedFile:
    """The file with what speaks against it, by its bytes first and its name second."""
    content = await to_thread.run_sync(part.incoming.edges)
    try:
        sniff(content, part.name)
    except DocumentRejected as refusal:
        return ReceivedFile(part.name, part.media_type, part.incoming, refusal)
    return ReceivedFile(part.name, part.media_type, part.incoming, None)


def _priority(text: str | None) -> JobPriority | None:
    for known in PRIORITIES:
        if text == known:
            return known
    if text is None:
        return None
    raise InvalidRequest(f"There is no priority {text!r}; there are {', '.join(PRIORITIES)}.")


def _metadata(text: str | None, settings: Settings) -> Metadata | None:
    if text is None:
        return None
    try:
        return read_metadata(json.loads(text), settings)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"The form field metadata is not JSON: {error}.") from error


def _wait_s(text: str | None, default_s: float) -> float:
    if text is None:
        return default_s
    try:
        wait_s = float(text)
    except ValueError as error:
        raise InvalidRequest(f"wait_s is {text!r}; give seconds, such as 30.") from error
    if not 0 <= wait_s <= LONGEST_WAIT_S:
        raise InvalidRequest(f"wait_s is {text}; it must lie between 0 and {LONGEST_WAIT_S:g}.")
    return wait_s
