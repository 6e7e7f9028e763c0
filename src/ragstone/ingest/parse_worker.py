"""The parser process: `python -m ragstone.ingest.parse_worker MEMORY_BYTES PARENT_ID`.

Reads `ParseRequest`s from standard input and answers each with `Begun` and then an `Extraction` or a
`Rejection`; the first message is `Walls`. A frame is an 8-byte big-endian length and MessagePack. The
process ends when its input does, and then by `os._exit`: xberg's native threads may abort an orderly exit.
"""

from __future__ import annotations

import contextlib
import os
import struct
import sys
from typing import BinaryIO

import msgspec

from ragstone.errors import BrokenDocument, DocumentRejected, EncryptedDocument
from ragstone.ingest.extraction import (
    Answer,
    Begun,
    Extraction,
    Outlined,
    OutlineRequest,
    ParseRequest,
    Rejection,
    Reply,
    Request,
)
from ragstone.ingest.process_walls import allow_cpu_time, stand_behind_walls
from ragstone.ingest.refusals import broken, check_before_parsing, over_limit
from ragstone.ingest.xberg_parser import Progress, extract_with_xberg

_LENGTH = struct.Struct(">Q")


def extract(request: ParseRequest, on_progress: Progress) -> Extraction:
    """The text of one file, by the main parser or, where that cannot, by the small one.

    The small one is asked about encrypted files too: it opens a PDF of which only an attachment is locked.

    Raises:
        DocumentRejected: what the main parser made of the file, when neither can read it.
    """
    check_before_parsing(request)
    if request.engine == "fallback":
        return _by_fallback(request)
    try:
        return extract_with_xberg(request, on_progress)
    except (BrokenDocument, EncryptedDocument, ImportError) as error:
        if request.engine == "xberg":
            raise
        with contextlib.suppress(DocumentRejected):
            return _by_fallback(request)
        if isinstance(error, ImportError):
            raise BrokenDocument(f"{request.name!r} needs the xberg package to be read.") from error
        raise


def _by_fallback(request: ParseRequest) -> Extraction:
    from ragstone.ingest.fallback_parser import extract_with_fallback

    return extract_with_fallback(request)


def main() -> None:
    """Serve until the parent closes the pipe."""
    memory_bytes, parent_id = map(int, sys.argv[1:])
    walls = stand_behind_walls(memory_bytes, parent_id)
    with contextlib.suppress(ImportError):
        import xberg  # noqa: F401 - now, so that no document's time pays for it
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what native code prints must not land between two frames
    _send(replies, walls)
    with contextlib.suppress(BrokenPipeError):
        _serve(sys.stdin.buffer, replies)
    os._exit(0)


def _serve(requests: BinaryIO, replies: BinaryIO) -> None:
    decoder: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
    while header := requests.read(_LENGTH.size):
        request = decoder.decode(requests.read(_LENGTH.unpack(header)[0]))
        allow_cpu_time(request.cpu_s)
        _send(replies, Begun())
        _send(replies, _reply(request, lambda pages, ocr: _send(replies, Begun(pages, ocr))))


def _reply(request: Request, on_progress: Progress) -> Answer:
    try:
        if isinstance(request, OutlineRequest):
            return _outlined(request)
        return extract(request, on_progress)
    except DocumentRejected as refused:
        return Rejection(refused.code, refused.message)
    except MemoryError:
        what = "needs more memory than parsing may take"
        wall = over_limit(request.name, what, "ingest.parse_memory_mb")
        return Rejection(wall.code, wall.message)
    except Exception as error:  # noqa: BLE001 - the loop of a worker: one document must not cost the next
        failure = broken(request.name, f"{type(error).__name__}: {error}")
        return Rejection(failure.code, failure.message)


def _outlined(request: OutlineRequest) -> Outlined:
    from ragstone.ingest.syntax import outline

    found = outline(request.text, request.language, request.suffix)
    return Outlined(found.sections, found.breaks, found.warnings)


def _send(replies: BinaryIO, reply: Reply) -> None:
    frame = msgspec.msgpack.encode(reply)
    replies.write(_LENGTH.pack(len(frame)) + frame)
    replies.flush()


if __name__ == "__main__":
    main()
