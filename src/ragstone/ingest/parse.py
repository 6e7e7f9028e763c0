"""The parser of the pipeline: looks at a file, picks who reads it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath

from anyio import to_thread

from ragstone.deadline import Deadline
from ragstone.errors import DocumentRejected
from ragstone.ingest.attachments import read_attachments
from ragstone.ingest.extraction import OutlineRequest
from ragstone.ingest.limits import ParsingLimits
from ragstone.ingest.request import INLINE_NAME
from ragstone.ingest.sandbox import SandboxedParser
from ragstone.ingest.sniff import FileFormat, sniff
from ragstone.ingest.syntax import has_tree, outline_by_lines
from ragstone.ingest.text_parser import parse_text
from ragstone.types import ParsedDocument, RawFile

__all__ = ["DocumentParser", "ParsingLimits", "build_parser"]


INLINE_FORMAT = FileFormat("text/markdown", "markdown")


class DocumentParser:
    """The `Parser` that reads every format: text in a thread of this process, the rest in the sandbox.

    What native code does, syntax trees included, happens in the sandbox.
    """

    def __init__(self, sandbox: SandboxedParser, max_attachments: int) -> None:
        self._sandbox = sandbox
        self._max_attachments = max_attachments

    async def parse(self, file: RawFile, deadline: Deadline) -> ParsedDocument:
        """Parse one file, and those inside it; see `Parser`.

        Raises:
            DocumentRejected: of an unknown type, empty, encrypted, broken, or over a wall.
            DeadlineExceeded: the request's time is used up.
            NotReady: no parser process could be started.
        """
        # Text that came as text is what it says, however much it looks like a PDF or holds a NUL.
        if file.name == INLINE_NAME:
            return await self._parsed(file, INLINE_FORMAT, deadline)
        parsed = await self._part(file, deadline)
        if not parsed.enclosed:
            return parsed
        return await read_attachments(parsed, lambda part: self._part(part, deadline), self._max_attachments)

    async def _part(self, file: RawFile, deadline: Deadline) -> ParsedDocument:
        # In a thread: a ZIP is searched whole.
        file_format = await to_thread.run_sync(sniff, file.content, file.name)
        return await self._parsed(file, file_format, deadline)

    async def _parsed(self, file: RawFile, file_format: FileFormat, deadline: Deadline) -> ParsedDocument:
        deadline.check("parsing")
        if file_format.reader == "sandbox":
            return await self._sandbox.parse(file, deadline)
        if file_format.reader == "code":
            return await self._code(file, file_format, deadline)
        return await to_thread.run_sync(parse_text, file, file_format)

    async def _code(self, file: RawFile, file_format: FileFormat, deadline: Deadline) -> ParsedDocument:
        """Decoded here; its syntax, which native code reads, in the sandbox. Without it, by indentation."""
        document = await to_thread.run_sync(parse_text, file, file_format, outline_by_lines)
        suffix = PurePath(file.name).suffix.lower()
        if not has_tree(document.text, document.language, suffix):
            return document
        request = OutlineRequest(document.text, file.name, document.language, suffix)
        try:
            found = await self._sandbox.outline(request, deadline)
        except DocumentRejected as rejected:
            warning = f"Cut by indentation, as its syntax was not parsed: {rejected.message}"
            return replace(document, warnings=(*document.warnings, warning))
        warnings = (*document.warnings, *found.warnings)
        return replace(document, sections=found.sections, breaks=found.breaks, warnings=warnings)

    async def aclose(self) -> None:
        """End the parser processes."""
        await self._sandbox.aclose()


def build_parser(limits: ParsingLimits) -> DocumentParser:
    """A parser within `limits`; starts nothing until the first file. Close it with `aclose`."""
    return DocumentParser(SandboxedParser(limits), limits.max_attachments)
