"""Reading request bodies: JSON against a model, multipart forms with files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from ragstone.config import Settings
from ragstone.entrypoints.http.schemas import RequestModel
from ragstone.entrypoints.requests import read_metadata
from ragstone.errors import FileTooLarge, InvalidRequest
from ragstone.types import Metadata, RawFile

FIELDS = ("collection", "title", "source", "metadata", "wait_s")
MOST_FILES = 1000
LONGEST_WAIT_S = 600.0

Model = TypeVar("Model", bound=RequestModel)


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart form: its files and what holds for all of them."""

    files: tuple[RawFile, ...]
    collection: str
    title: str | None
    source: str | None
    metadata: Metadata | None
    wait_s: float


async def read_json(request: Request, model: type[Model]) -> Model:
    """The body as a model.

    Raises:
        HTTPException: 415 when the body is not declared as JSON.
        RequestValidationError: it is not JSON, or does not fit.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip()
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


async def read_upload(request: Request, settings: Settings) -> Upload:
    """The form of an upload; the names of its file parts do not matter.

    Raises:
        InvalidRequest: an unknown field, no file, or a value that does not fit.
        FileTooLarge: a file is over `ingest.max_file_bytes`.
    """
    async with request.form(max_files=MOST_FILES, max_fields=len(FIELDS) * 4) as form:
        files, fields = _parts(form, FIELDS)
        if len(files) > 1 and ("title" in fields or "source" in fields):
            raise InvalidRequest(
                "title and source name one document; leave them out when you send several files."
            )
        names = [part.filename for part in files]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InvalidRequest(
                f"Two files are named {twice!r}; a name is a document's source, so the second would replace "
                "the first. Rename one, or send them one by one with a source each."
            )
        raw = tuple([await _read_file(part, settings.ingest.max_file_bytes) for part in files])
    return Upload(
        files=raw,
        collection=fields.get("collection", "default"),
        title=fields.get("title"),
        source=fields.get("source"),
        metadata=_metadata(fields.get("metadata"), settings),
        wait_s=_wait_s(fields.get("wait_s"), settings.ingest.wait_s),
    )


async def read_one_file(request: Request, settings: Settings, model: type[Model]) -> tuple[RawFile, Model]:
    """The one file of a form and its other fields as a model.

    Raises:
        InvalidRequest: an unknown field, or not exactly one file.
        RequestValidationError: a field does not fit.
        FileTooLarge: the file is over `ingest.max_file_bytes`.
    """
    known = tuple(model.model_fields)
    async with request.form(max_files=MOST_FILES, max_fields=len(known) * 4) as form:
        files, fields = _parts(form, known)
        if len(files) != 1:
            raise InvalidRequest(f"One file is cut at a time, not {len(files)}.")
        file = await _read_file(files[0], settings.ingest.max_file_bytes)
    return file, _validated(model, fields)


def _parts(form: FormData, known: Sequence[str]) -> tuple[list[UploadFile], dict[str, str]]:
    files = [part for _, part in form.multi_items() if isinstance(part, UploadFile)]
    fields = {name: part for name, part in form.multi_items() if isinstance(part, str)}
    unknown = [name for name in fields if name not in known]
    if unknown:
        raise InvalidRequest(
            f"There is no form field {unknown[0]!r}; there are files and {', '.join(known)}."
        )
    if not files:
        raise InvalidRequest("The form holds no file; add at least one part with a filename.")
    return files, fields


def _validated(model: type[Model], value: object) -> Model:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise RequestValidationError(
            [{**found, "loc": ("body", *found["loc"])} for found in error.errors()]
        ) from error


async def _read_file(part: UploadFile, max_bytes: int) -> RawFile:
    name = part.filename or "upload"
    if part.size is not None and part.size > max_bytes:
        raise FileTooLarge(
            f"{name!r} has {part.size} bytes; at most {max_bytes} are taken (ingest.max_file_bytes).",
            name=name,
        )
    return RawFile(await part.read(), name, part.content_type)


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
