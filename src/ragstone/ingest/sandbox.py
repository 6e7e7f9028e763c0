"""Parsing in separate processes that a hostile file may exhaust, crash or occupy without harm."""

from __future__ import annotations

import math

import anyio
from anyio import to_thread

from ragstone.deadline import Deadline
from ragstone.errors import DeadlineExceeded, NotReady
from ragstone.ingest.document import document_of
from ragstone.ingest.extraction import (
    Answer,
    Engine,
    Extraction,
    Outlined,
    OutlineRequest,
    ParseRequest,
    Rejection,
    Request,
    Walls,
)
from ragstone.ingest.limits import ParsingLimits
from ragstone.ingest.parser_process import ParserProcess, ProcessEndedError
from ragstone.ingest.refusals import broken, rejected
from ragstone.ingest.sniff import sniff
from ragstone.types import ParsedDocument, RawFile

_DOCUMENTS_PER_PROCESS = 200
"""A process is replaced after so many documents, so that what its libraries leak stays bounded."""


class SandboxedParser:
    """A pool of parser processes behind the `Parser` port; belongs to one event loop.

    Processes start when first needed, are used again, and are killed and replaced after a timeout, a
    crash or a cancelled call. They die with this process, even when it is killed.
    """

    def __init__(self, limits: ParsingLimits, engine: Engine = "auto") -> None:
        self._limits = limits
        self._engine = engine
        self._slots = anyio.Semaphore(limits.workers)
        self._idle: list[ParserProcess] = []
        self._tessdata = limits.find_tessdata()
        self._is_closed = False

    async def parse(self, file: RawFile, deadline: Deadline) -> ParsedDocument:
        """Parse one file in a process of its own.

        Raises:
            DocumentRejected: of an unknown type, empty, encrypted, broken, or over the time or memory wall.
            DeadlineExceeded: the request's time ended before the wall did.
            NotReady: no parser process could be started.
        """
        media_type = sniff(file.content, file.name).media_type
        reply = await self._within(self._request(file, media_type), deadline)
        if not isinstance(reply, Extraction):
            raise broken(file.name, "the parser answered something else")
        return await to_thread.run_sync(document_of, reply, file.name, media_type)

    async def outline(self, request: OutlineRequest, deadline: Deadline) -> Outlined:
        """The outline of source code by its syntax tree, made by native code in a process of its own.

        Raises:
            DocumentRejected: the code crashed its grammar, or ran into a wall.
            DeadlineExceeded: the request's time ended before the wall did.
            NotReady: no parser process could be started.
        """
        reply = await self._within(request, deadline)
        if not isinstance(reply, Outlined):
            raise broken(request.name, "the parser answered something else")
        return reply

    async def _within(self, request: Request, deadline: Deadline) -> Extraction | Outlined:
        """The answer of a process, when one is free, before the deadline."""
        deadline.check("parsing")
        limit_s = None if math.isinf(deadline.at_s) else deadline.remaining_s
        with anyio.move_on_after(limit_s) as scope:
            async with self._slots:
                reply = await self._reply(request)
        if scope.cancelled_caught:
            raise DeadlineExceeded(
                f"The {deadline.budget_s:g} s given to the request ended while {request.name!r} was parsed.",
                stage="parsing",
            )
        if isinstance(reply, Rejection):
            raise rejected(reply, request.name)
        return reply

    def _request(self, file: RawFile, media_type: str) -> ParseRequest:
        return ParseRequest(
            content=file.content,
            name=file.name,
            media_type=media_type,
            engine=self._engine,
            tessdata=self._tessdata,
            ocr_languages=self._limits.ocr_languages,
            max_unpacked_bytes=self._limits.max_unpacked_bytes,
            cpu_s=self._limits.max_timeout_s,
        )

    async def _reply(self, request: Request) -> Answer:
        """By an idle process, and by a fresh one when that had been killed from outside."""
        if process := self._idle.pop() if self._idle else None:
            try:
                return await self._exchange(process, request)
            except ProcessEndedError:
                pass
        try:
            return await self._exchange(await ParserProcess.start(self._limits), request)
        except ProcessEndedError as error:
            raise NotReady("Parser processes end before they read a file; is memory short?") from error

    async def _exchange(self, process: ParserProcess, request: Request) -> Answer:
        """One document through `process`, which goes back to the pool only when it answered in full."""
        is_sound = False
        try:
            reply = await process.parse(request)
            is_sound = process.documents < _DOCUMENTS_PER_PROCESS and not self._is_closed
            return reply
        finally:
            if is_sound:
                self._idle.append(process)
            else:
                await process.kill()

    async def walls(self) -> Walls:
        """Which walls a parser process stands behind on this machine; starts one and ends it.

        Raises:
            NotReady: no parser process could be started.
        """
        process = await ParserProcess.start(self._limits)
        await process.kill()
        return process.walls

    async def aclose(self) -> None:
        """End every idle process; a call in flight ends its own."""
        self._is_closed = True
        while self._idle:
            await self._idle.pop().kill()
