"""The files inside a file, each read as a file of its own, one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace

from ragstone.errors import DocumentRejected
from ragstone.types import Attachment, ParsedDocument, RawFile

MAX_DEPTH = 3
"""A message in a message in a message is opened; one that lies deeper is not."""


async def read_attachments(
    document: ParsedDocument, parse: Callable[[RawFile], Awaitable[ParsedDocument]], limit: int
) -> ParsedDocument:
    """The document with what was read of every file inside it, however deep it lay, in breadth.

    A file that cannot be read, lies too deep or comes after `limit` others is a warning of the document.
    """
    waiting = deque((file, 1) for file in document.enclosed)
    read: list[Attachment] = []
    warnings = list(document.warnings)
    taken = 0
    while waiting and taken < limit:
        file, depth = waiting.popleft()
        taken += 1
        try:
            found = await parse(file)
        except DocumentRejected as rejected:
            warnings.append(f"Attachment not read: {rejected.message}")
            continue
        if depth < MAX_DEPTH:
            waiting.extend((_inside(file, inner), depth + 1) for inner in found.enclosed)
        elif found.enclosed:
            warnings.append(f"The attachments of {file.name!r} lie deeper than {MAX_DEPTH} messages.")
        read.append(Attachment(file, replace(found, enclosed=())))
    if waiting:
        warnings.append(
            f"{len(waiting)} more attachments were left out; ingest.max_attachments allows {limit}."
        )
    return replace(document, enclosed=(), attachments=tuple(read), warnings=tuple(warnings))


def _inside(outer: RawFile, inner: RawFile) -> RawFile:
    return replace(inner, name=f"{outer.name}/{inner.name}")
