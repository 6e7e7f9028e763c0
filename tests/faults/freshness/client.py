"""A client that reads and writes at random through the services of an engine, and notes everything."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable
from contextlib import aclosing

from ragstone.answer.events import AnswerEvent
from ragstone.deadline import Deadline
from ragstone.errors import RagstoneError
from ragstone.ingest.request import IngestRequest, inline_file
from ragstone.runtime.engine import Engine
from ragstone.types import AnswerRequest, Compare, SearchRequest
from tests.faults.freshness.observe import Asked
from tests.faults.freshness.records import Begun, Ended, Log, Lost, moment
from tests.faults.freshness.texts import (
    GROUPS,
    PLACES,
    QUESTION_WEIGHTS,
    QUESTIONS,
    READER_WEIGHTS,
    READERS,
    SCOPE_WEIGHTS,
    SCOPES,
    Token,
    text_of,
)

LIMIT_S = 60.0
TOP_K = 40
WEIGHTS = {"search": 50, "ask": 24, "stream": 24, "leave": 2}
MOST_STEPS = 12
"""Turns of the event loop that a client waits at most before it leaves."""


class Client:
    """One of several on the same engine and log."""

    def __init__(
        self, engine: Engine, log: Log, process: int, number: int, serials: itertools.count[int]
    ) -> None:
        self._engine = engine
        self._log = log
        self._process = process
        self._choice = random.Random(f"{process} {number}")
        self._serials = serials

    async def work(self, budget: Callable[[], bool], write_share: float) -> None:
        """Do one thing after another while the budget allows it."""
        while budget():
            if self._choice.random() < write_share:
                await self._write()
            else:
                await self._read()
            await asyncio.sleep(0)

    async def _write(self) -> None:
        place = self._choice.choice(PLACES)
        is_removal = self._choice.random() < 0.25
        serial = next(self._serials)
        token = Token(place, self._choice.choice((0, 0, 1, 2)), serial)
        begun = Begun(serial, moment(), str(place), None if is_removal else str(token))
        self._log.note(begun)
        try:
            version = await (self._remove(token) if is_removal else self._put(token))
        except RagstoneError as error:
            self._log.note(Lost(serial, moment(), error.code))
        else:
            self._log.note(Ended(serial, moment(), version))

    async def _put(self, token: Token) -> int:
        place = token.place
        text = text_of(token, self._choice)
        request = IngestRequest(
            inline_file(text, len(text)),
            place.collection_name,
            title="A record",
            source=place.source,
            access_groups=GROUPS[token.group],
            principal=place.owner,
        )
        return (await self._engine.documents.add(request, Deadline.after(LIMIT_S))).corpus_version

    async def _remove(self, token: Token) -> int | None:
        place = token.place
        here = Compare("eq", "$source", place.source)
        receipt = await self._engine.documents.remove_matching(place.collection_name, here, place.owner)
        return receipt.corpus_version if receipt.documents else None

    async def _read(self) -> None:
        (kind,) = self._choice.choices(list(WEIGHTS), list(WEIGHTS.values()))
        (question,) = self._choice.choices(QUESTIONS, QUESTION_WEIGHTS)
        (reader,) = self._choice.choices(READERS, READER_WEIGHTS)
        (scope,) = self._choice.choices(SCOPES, SCOPE_WEIGHTS)
        request = SearchRequest(
            question.words,
            scope,
            question.mode,
            top_k=TOP_K,
            principal=reader,
            use_cache=self._choice.random() < 0.98,
        )
        asked = Asked(self._process, question, request, moment())
        if kind == "search":
            result = await self._engine.search.search(request, Deadline.after(LIMIT_S))
            self._log.note(asked.found(result))
        elif kind == "ask":
            answer = await self._engine.answers.ask(AnswerRequest(request), Deadline.after(LIMIT_S))
            self._log.note(asked.answered(answer))
        elif kind == "stream":
            self._log.note(asked.streamed(await self._events(request)))
        else:
            await self._leave(request)

    async def _leave(self, request: SearchRequest) -> None:
        """Ask, and go away before the answer has come, most of the time."""
        asking = asyncio.ensure_future(
            self._engine.answers.ask(AnswerRequest(request), Deadline.after(LIMIT_S))
        )
        for _ in range(self._choice.randrange(MOST_STEPS)):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait([asking])

    async def _events(self, request: SearchRequest) -> list[AnswerEvent]:
        stream = self._engine.answers.stream(AnswerRequest(request), Deadline.after(LIMIT_S))
        async with aclosing(stream) as events:
            return [event async for event in events]
