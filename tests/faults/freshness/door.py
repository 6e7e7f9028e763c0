"""The same work through the HTTP door of a real server on the same home, a smaller share of it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

import httpx2

from tests.faults.freshness.observe import tokens
from tests.faults.freshness.records import Begun, Ended, Kind, Lost, Read, Record, moment
from tests.faults.freshness.texts import (
    PLACES,
    QUESTION_WEIGHTS,
    QUESTIONS,
    SCOPE_WEIGHTS,
    SCOPES,
    TENANTS,
    Question,
    Token,
    text_of,
)

TOP_K = 40
WRITE_SHARE = 0.02
REFUSALS = (409, 503)
"""Another write was quicker, or the database busy."""
MINE = [place for place in PLACES if TENANTS[place.tenant] == "default"]
Wire = Mapping[str, Any]


class DoorClient:
    """One thread's requests; `process` names the server and the thread."""

    def __init__(self, client: httpx2.Client, process: int, serial: int) -> None:
        self.records: list[Record] = []
        self._client = client
        self._process = process
        self._serial = serial
        self._choice = random.Random(process)

    def work(self, is_over: Callable[[], bool]) -> None:
        """Do one thing after another."""
        while not is_over():
            if self._choice.random() < WRITE_SHARE:
                self._write()
            else:
                self._read()

    def _write(self) -> None:
        self._serial += 1
        token = Token(self._choice.choice(MINE), 0, self._serial)
        is_removal = self._choice.random() < 0.25
        self.records.append(
            Begun(self._serial, moment(), str(token.place), None if is_removal else str(token))
        )
        place = token.place
        if is_removal:
            here = {"type": "eq", "key": "$source", "value": place.source}
            wanted = {"collection": place.collection_name, "filter": json.dumps(here)}
            response = self._client.delete("/v1/documents", params=wanted)
        else:
            text = text_of(token, self._choice)
            added = {"text": text, "collection": place.collection_name, "source": place.source}
            response = self._client.post("/v1/documents", json=added)
        if response.status_code in REFUSALS:
            self.records.append(Lost(self._serial, moment(), response.text))
            return
        assert response.is_success, response.text
        written = response.json()
        is_nothing = is_removal and written["removed"] == 0
        version = None if is_nothing else int(written["corpus_version"])
        self.records.append(Ended(self._serial, moment(), version))

    def _read(self) -> None:
        (question,) = self._choice.choices(QUESTIONS, QUESTION_WEIGHTS)
        (scope,) = self._choice.choices(SCOPES, SCOPE_WEIGHTS)
        kind: Kind = self._choice.choice(("search", "ask", "stream"))
        body = {"collections": scope, "mode": question.mode, "top_k": TOP_K}
        sent = moment()
        if kind == "search":
            found = self._post("/v1/search", {**body, "query": question.words}).json()
        elif kind == "ask":
            found = self._post("/v1/ask", {**body, "question": question.words}).json()
        else:
            response = self._post("/v1/ask", {**body, "question": question.words, "stream": True})
            last = response.text.strip().rpartition("data: ")[2]
            found = json.loads(last)
        self.records.append(self._observed(kind, question, scope, sent, found))

    def _post(self, path: str, body: Wire) -> httpx2.Response:
        response = self._client.post(path, json=body)
        assert response.status_code == 200, response.text
        return response

    def _observed(
        self, kind: Kind, question: Question, scope: tuple[str, ...], sent: int, found: Wire
    ) -> Read:
        texts = {hit["chunk_id"]: str(hit["text"]) for hit in found["hits"]}
        quotes = found.get("citations", [])
        return Read(
            kind=kind,
            process=self._process,
            sent=sent,
            ended=moment(),
            tenant="default",
            groups=None,
            collections=scope,
            question=question.words,
            finds_all=question.finds_all,
            version=int(found["corpus_version"]),
            cache=found["cache"],
            degraded=tuple(found["degraded"]),
            shown=tokens(*texts.values()),
            said=tokens(str(found.get("answer", "")), *(str(quote["quote"]) for quote in quotes)),
            faults=tuple(
                f"{quote['quote']!r} is not in its chunk"
                for quote in quotes
                if str(quote["quote"]) not in texts.get(quote["chunk_id"], "")
            ),
        )
