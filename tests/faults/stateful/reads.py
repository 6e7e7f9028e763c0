"""Reads through every door that returns text; each response is checked against the history."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.faults.stateful.history import Foreign, History, Missing, Place, Reading, Torn, Violation
from tests.faults.stateful.mcp_door import call_tool
from tests.faults.stateful.server import ServerProcess
from tests.faults.stateful.texts import COMMON

MODES = ("hybrid", "lexical", "dense")
EXPANSIONS: tuple[object, ...] = (None, None, "section", {"neighbours": 1})
AROUND: tuple[Mapping[str, str], ...] = ({"neighbours": "1"}, {"expand": "section"}, {"context_chars": "60"})
TOP_K = 100
"""More than a collection of these tests ever holds."""
REMEMBERED = 200


@dataclass(slots=True)
class Reader:
    """Everything that returns text."""

    history: History
    chunk_ids: list[str] = field(default_factory=list)
    """Chunks that were seen, live or gone by now."""
    markers: list[str] = field(default_factory=list)
    """Words that were live once."""

    def search(self, server: ServerProcess, place: Place, choice: random.Random) -> None:
        """In every mode all that is live is found, and nothing that is gone."""
        mode = choice.choice(MODES)
        word = self._word(place, choice)
        asked = {"query": f"{COMMON} {word}", "mode": mode, "expand": choice.choice(EXPANSIONS)}
        begin = self.history.tick()
        hits = self._hits(server, place, asked)
        reading = self.history.reading(begin, [place.collection])
        self.check_hits(hits, reading)
        reading.check_complete(json.dumps(hits))

    def search_by_words(self, server: ServerProcess, place: Place, choice: random.Random) -> None:
        """By single words: those of a live text are found, one that is gone finds nothing."""
        for word in [*self._words_of(place), self._word(place, choice)]:
            self._search_word(server, place, word)

    def _search_word(self, server: ServerProcess, place: Place, word: str) -> None:
        begin = self.history.tick()
        hits = self._hits(server, place, {"query": word, "mode": "lexical"})
        reading = self.history.reading(begin, [place.collection])
        self.check_hits(hits, reading)
        if word in reading.required and not hits:
            raise Missing(f"{word} is not found by words at {begin}")
        if word in reading.required or word not in reading.allowed:
            for hit in hits:
                if word not in json.dumps(hit):
                    raise Foreign(f"{word} finds {json.dumps(hit)[:400]}")

    def search_all(self, server: ServerProcess, collections: Sequence[str]) -> None:
        """Everything, in every mode and by every word."""
        for mode in MODES:
            for collection in collections:
                begin = self.history.tick()
                hits = self._hits(server, Place(collection, ""), {"query": COMMON, "mode": mode})
                reading = self.history.reading(begin, [collection])
                self.check_hits(hits, reading)
                reading.check_complete(json.dumps(hits))
        for place in self.history.places.values():
            for word in self._words_of(place):
                self._search_word(server, place, word)

    def search_by_mcp(self, server: ServerProcess, place: Place, choice: random.Random) -> None:
        """As an assistant searches."""
        arguments = {
            "query": f"{COMMON} {self._word(place, choice)}",
            "collections": [place.collection],
            "mode": choice.choice(MODES),
            "top_k": TOP_K,
            "expand": choice.choice(EXPANSIONS),
        }
        begin = self.history.tick()
        found = call_tool(server.url, "search", arguments)
        reading = self.history.reading(begin, [place.collection])
        hits = found.get("hits", [])
        self.check_hits(hits, reading)
        reading.check_complete(json.dumps(hits))

    def ask(self, server: ServerProcess, place: Place, choice: random.Random) -> None:
        """Answer, quotes, citations and hits are of what is live."""
        asked = {
            "question": f"What about {self._word(place, choice)} in the {COMMON}?",
            "collections": [place.collection],
            "mode": choice.choice(MODES),
        }
        begin = self.history.tick()
        answer = _checked(server.client.post("/v1/ask", json=asked), (200, 404))
        reading = self.history.reading(begin, [place.collection])
        if answer.status_code == 200:
            reading.check_seen(answer.text)
            self.check_hits([*answer.json()["hits"], *answer.json()["citations"]], reading)

    def read(self, server: ServerProcess, place: Place, choice: random.Random) -> None:
        """The stored text is one that may be there, as a whole."""
        if place.document_id is None:
            return
        begin = self.history.tick()
        if choice.random() < 0.15:
            passage = call_tool(server.url, "read_passage", {"document_id": place.document_id})
        else:
            url = f"/v1/documents/{place.document_id}/text"
            passage = _checked(server.client.get(url), (200, 404)).json()
        if "text" in passage:
            self._check_passage(passage, place, begin)
        else:  # another document may have come in its place: then it is listed
            self.list(server, place, choice)

    def read_around(self, server: ServerProcess, place: Place, choice: random.Random) -> None:
        """What stands around a chunk that was seen at some time."""
        if not self.chunk_ids:
            return
        chunk_id = choice.choice(self.chunk_ids)
        begin = self.history.tick()
        answer = server.client.get(f"/v1/chunks/{chunk_id}", params=choice.choice(AROUND))
        collections = sorted({collection for collection, _ in self.history.places})
        reading = self.history.reading(begin, collections)
        if _checked(answer, (200, 404)).status_code == 200:
            reading.check_seen(answer.text)

    def list(self, server: ServerProcess, place: Place, choice: random.Random) -> None:
        """Every live document is listed, with its present title and metadata."""
        begin = self.history.tick()
        query = {"collection": place.collection, "limit": "200"}
        answer = _checked(server.client.get("/v1/documents", params=query), (200, 404))
        reading = self.history.reading(begin, [place.collection])
        documents = answer.json().get("documents", [])
        for document in documents:
            reading.check_of(json.dumps(document), document["source"])
        unlisted = set(reading.required.values()) - {document["source"] for document in documents}
        if unlisted:
            raise Missing(f"{sorted(unlisted)} are not listed at {begin}")
        self._list_used(server)

    def _list_used(self, server: ServerProcess) -> None:
        """Documents by their use and the exported accesses: names of what is live, none of what is gone."""
        collections = sorted({collection for collection, _ in self.history.places})
        begin = self.history.tick()
        query = {"limit": "1000"}
        listed = _checked(server.client.get("/v1/analytics/documents", params=query), (200,)).json()
        accesses = server.client.get("/v1/analytics/export/document_accesses", params={"format": "jsonl"})
        lines = _checked(accesses, (200,)).text.splitlines()
        reading = self.history.reading(begin, collections)
        exported = [{**row, "source": row["file_name"]} for row in map(json.loads, lines)]
        for named in [*listed["documents"], *exported]:
            if named["title"] is not None:
                reading.check_of(json.dumps(named), named["source"])

    def check_hits(self, hits: Sequence[Mapping[str, Any]], reading: Reading) -> None:
        """Each is of its document, and none of anything gone."""
        for hit in hits:
            reading.check_of(json.dumps(hit), hit["source"])
        with self.history.lock:
            self.chunk_ids = [*self.chunk_ids, *(hit["chunk_id"] for hit in hits)][-REMEMBERED:]
            self.markers = [*self.markers, *reading.allowed][-REMEMBERED:]

    def _hits(
        self, server: ServerProcess, place: Place, asked: Mapping[str, object]
    ) -> Sequence[Mapping[str, Any]]:
        """The hits; none where there is no collection, which then must hold nothing."""
        body = {"collections": [place.collection], "top_k": TOP_K, **asked}
        answer = _checked(server.client.post("/v1/search", json=body), (200, 404)).json()
        if answer.get("degraded"):
            raise Violation(f"degraded: {answer['degraded']}")
        hits: Sequence[Mapping[str, Any]] = answer.get("hits", [])
        return hits

    def _check_passage(self, passage: Mapping[str, Any], place: Place, begin: int) -> None:
        reading = self.history.reading(begin, [place.collection], source=place.source)
        with self.history.lock:
            possible = place.text.possible(begin, self.history.tick())
        reading.check_of(json.dumps(passage), place.source)
        if passage["text"] not in [value.text for value in possible]:
            raise Torn(f"{passage['text']!r} was not the text of {place.source} at {begin}")

    def _words_of(self, place: Place) -> Sequence[str]:
        with self.history.lock:
            return sorted(place.text.newest.markers | place.title.newest.markers)

    def _word(self, place: Place, choice: random.Random) -> str:
        """A word of the place, or one that was live once."""
        own, old = self._words_of(place), self.markers
        return choice.choice(own if own and (choice.random() < 0.6 or not old) else old or [COMMON])


def _checked(answer: httpx2.Response, expected: Sequence[int]) -> httpx2.Response:
    if answer.status_code not in expected:
        raise Violation(f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}")
    return answer
