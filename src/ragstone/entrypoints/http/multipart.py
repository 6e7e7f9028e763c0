"""Multipart forms read as they come: files go to disk part by part, limits hold while they stream."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from anyio import to_thread
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from ragstone.errors import FileTooLarge, InvalidRequest
from ragstone.store.incoming import IncomingFile

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MOST_FILES = 1000
MOST_FIELDS = 24
LONGEST_FIELD_BYTES = 2**20

Receive = Callable[[], Awaitable[IncomingFile]]


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file of the form, its bytes on disk."""

    name: str
    media_type: str | None
    incoming: IncomingFile


@dataclass(slots=True)
class _Part:
    headers: dict[bytes, bytes] = field(default_factory=dict)
    name: str = ""
    filename: str | None = None
    content: bytearray = field(default_factory=bytearray)
    """Of a field all of it; of a file what came since the last write to disk."""
    incoming: IncomingFile | None = None


class FormReader:
    """One form on its way in. `read` it, then look at `fields` and `files`; `aclose` removes the files."""

    def __init__(self, receive: Receive, max_file_bytes: int) -> None:
        self.fields: dict[str, str] = {}
        self.files: list[FilePart] = []
        self._receive = receive
        self._max_file_bytes = max_file_bytes
        self._parts: list[_Part] = []
        self._stored = 0
        """Parts before this one are on disk whole."""
        self._header: tuple[bytes, bytes] = (b"", b"")

    async def read(self, request: Request) -> None:
        """Read the whole body.

        Raises:
            InvalidRequest: it is no multipart form, or has too many parts.
            FileTooLarge: a file is over the limit; raised as soon as it is.
        """
        _, options = parse_options_header(request.headers.get("content-type", ""))
        if not options.get(b"boundary"):
            raise InvalidRequest("The multipart form has no boundary in its Content-Type header.")
        try:
            parser = MultipartParser(options[b"boundary"], self._callbacks())
            async for piece in request.stream():
                parser.write(piece)
                await self._store()
            parser.finalize()
        except FormParserError as error:
            raise InvalidRequest(f"The body is no multipart form: {error}.") from error
        for part in self._parts:
            self._close(part)

    async def aclose(self) -> None:
        """Remove what nobody has taken over."""
        for part in self._parts:
            if part.incoming is not None:
                await to_thread.run_sync(part.incoming.close)

    def _callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": self._add_to_header_name,
            "on_header_value": self._add_to_header_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._add,
        }

    def _begin_part(self) -> None:
        self._parts.append(_Part())
        if len(self._parts) > MOST_FILES + MOST_FIELDS:
            raise InvalidRequest(f"The form has over {MOST_FILES} files; send fewer at once.")

    def _add_to_header_name(self, piece: bytes, start: int, end: int) -> None:
        name, value = self._header
        self._header = (name + piece[start:end], value)

    def _add_to_header_value(self, piece: bytes, start: int, end: int) -> None:
        name, value = self._header
        self._header = (name, value + piece[start:end])

    def _end_header(self) -> None:
        name, value = self._header
        self._parts[-1].headers[name.lower()] = value
        self._header = (b"", b"")

    def _end_headers(self) -> None:
        part = self._parts[-1]
        _, options = parse_options_header(part.headers.get(b"content-disposition", b""))
        if b"name" not in options:
            raise InvalidRequest("A part of the form has no name in its Content-Disposition header.")
        part.name = _text(options[b"name"])
        if b"filename" in options:
            part.filename = _text(options[b"filename"]) or "upload"

    def _add(self, piece: bytes, start: int, end: int) -> None:
        part = self._parts[-1]
        part.content += piece[start:end]
        if part.filename is None and len(part.content) > LONGEST_FIELD_BYTES:
            raise InvalidRequest(f"The form field {part.name!r} is over {LONGEST_FIELD_BYTES} bytes.")

    async def _store(self) -> None:
        """Move what came to disk; only the parts from the last one on can have anything new."""
        for part in self._parts[self._stored :]:
            if part.filename is None or (part.incoming is not None and not part.content):
                continue
            if part.incoming is None:
                part.incoming = await self._receive()
            await to_thread.run_sync(part.incoming.write, bytes(part.content))
            part.content.clear()
            if part.incoming.size_bytes > self._max_file_bytes:
                raise FileTooLarge(
                    f"{part.filename!r} has over {self._max_file_bytes} bytes, which is all that is taken "
                    "(ingest.max_file_bytes).",
                    name=part.filename,
                )
        self._stored = max(0, len(self._parts) - 1)

    def _close(self, part: _Part) -> None:
        if part.filename is None:
            self.fields[part.name] = _text(bytes(part.content))
        elif part.incoming is not None:
            media_type = part.headers.get(b"content-type")
            shown = None if media_type is None else _text(media_type)
            self.files.append(FilePart(part.filename, shown, part.incoming))


def _text(raw: bytes) -> str:
    """Browsers send UTF-8; what is not is read as Latin-1, which every byte is."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
