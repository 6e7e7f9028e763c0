"""Writes through HTTP and MCP: noted before they are sent, acknowledged when the response came."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.faults.stateful import texts
from tests.faults.stateful.history import ABSENT, History, Place, Register, Value, Violation, Write
from tests.faults.stateful.mcp_door import call_tool
from tests.faults.stateful.server import ServerProcess
from tests.support.waiting import wait_until

Values = list[tuple[Register, Value]]
SETTLE_LIMIT_S = 60.0
REFUSALS = (404, 409)
"""A document that went, or something newer in its place."""


@dataclass(slots=True)
class Upload:
    """An upload whose end is not known; without an id the answer never came."""

    writes: list[Write]
    job_id: str | None


@dataclass(slots=True)
class Writer:
    """Everything that changes documents."""

    history: History
    uploads: list[Upload] = field(default_factory=list)

    def add(self, server: ServerProcess, place: Place, choice: random.Random) -> None:
        """Inline text under a source: a new document, or a new version."""
        values, body = self._new_version(place, choice)
        asked = {**body, "collection": place.collection, "source": place.source}
        with self._sent(values) as writes:
            self._written(server.client.post("/v1/documents", json=asked), place, writes)

    def add_by_mcp(self, server: ServerProcess, place: Place, choice: random.Random) -> None:
        """The same by an assistant's tool."""
        values, body = self._new_version(place, choice)
        asked = {**body, "collection": place.collection, "source": place.source}
        with self._sent(values) as writes:
            result = call_tool(server.url, "add_document", asked)
            place.document_id = str(result["id"])
            self.history.acknowledge(writes, _order(result))

    def replace(self, server: ServerProcess, place: Place, choice: random.Random) -> None:
        """New text for a document by its id."""
        values, body = self._new_version(place, choice)
        with self._sent(values) as writes:
            answer = server.client.put(f"/v1/documents/{_id_of(place)}", json=body)
            self._written(answer, place, writes)

    def edit(self, server: ServerProcess, place: Place, choice: random.Random) -> None:
        """Another title, other metadata, or both."""
        values: Values = []
        body: dict[str, object] = {}
        part = choice.randrange(3)
        if part != 0:
            body["title"] = texts.title(self.history, place, random.Random(0))
            values.append((place.title, Value(str(body["title"]))))
        if part != 1:
            value = texts.tag(self.history)
            body["metadata"] = {"tag": value.text}
            values.append((place.tag, value))
        with self._sent(values) as writes:
            answer = server.client.patch(f"/v1/documents/{_id_of(place)}", json=body)
            if self._is_done(answer, writes):
                self.history.acknowledge(writes)

    def remove(self, server: ServerProcess, place: Place, choice: random.Random) -> None:
        """By its id, over HTTP or MCP."""
        with self._sent(_absent([place])) as writes:
            if choice.random() < 0.2 and place.document_id is not None:
                result = call_tool(server.url, "delete_document", {"document_id": place.document_id})
                if "code" in result:
                    self.history.refuse(writes)
                else:
                    self.history.acknowledge(writes, _order(result))
                return
            answer = server.client.delete(f"/v1/documents/{_id_of(place)}")
            if self._is_done(answer, writes):
                self.history.acknowledge(writes, _order(answer.json()))

    def remove_by_source(self, server: ServerProcess, place: Place, choice: random.Random) -> None:
        """Every document that comes from one of two sources."""
        others = [other for other in self._places_of(place.collection) if other is not place]
        chosen = {place.source, choice.choice(others).source}
        self._remove_matching(server, place, {"type": "in", "key": "$source", "value": sorted(chosen)})

    def remove_by_metadata(self, server: ServerProcess, place: Place, choice: random.Random) -> None:
        """Every document with a tag; one only, as no tag is used twice."""
        known = place.tag.newest.text or "none"
        self._remove_matching(server, place, {"type": "eq", "key": "tag", "value": known})

    def remove_collection(self, server: ServerProcess, place: Place, choice: random.Random) -> None:
        """A whole collection."""
        places = self._places_of(place.collection)
        with self._sent(_absent(places)) as writes:
            answer = server.client.delete(f"/v1/collections/{place.collection}")
            if self._is_done(answer, writes):
                self.history.acknowledge(writes, _order(answer.json()))

    def upload(self, server: ServerProcess, place: Place, choice: random.Random) -> None:
        """A file as a job: waited for, left alone, or cancelled at once."""
        values, body = self._new_version(place, choice)
        content = str(body["text"]).encode()
        form = {
            "collection": place.collection,
            "source": place.source,
            "title": str(body["title"]),
            "metadata": json.dumps(body["metadata"]),
            "wait_s": choice.choice(("0", "0", "60")),
        }
        upload = Upload(self.history.begin(values), None)
        with self.history.lock:
            self.uploads.append(upload)  # stays there without an id when the answer does not come
        answer = server.client.post("/v1/documents", data=form, files={"file": ("x.md", content)})
        if answer.status_code == 202:
            upload.job_id = str(answer.json()["job_id"])
            if choice.random() < 0.2:
                self._cancel(server, upload)
            return
        self._forget(upload)
        self._written(answer, place, upload.writes, is_ordered=False)

    def follow(self, server: ServerProcess, place: Place, choice: random.Random) -> None:
        """Ask for the jobs that nobody waited for; an ended one is as good as answered."""
        for upload in list(self.uploads):
            if upload.job_id is None:
                continue
            job = _checked(server.client.get(f"/v1/jobs/{upload.job_id}"), (200,)).json()
            if job["state"] in ("queued", "running"):
                continue
            self._forget(upload)
            if job["state"] == "ready":
                self.history.acknowledge(upload.writes)
            else:
                self.history.refuse(upload.writes)

    def settle(self, server: ServerProcess) -> None:
        """The end of every job; call it while nothing else writes."""
        wait_until(lambda: None if _has_open_jobs(server) else True, SETTLE_LIMIT_S)
        self.follow(server, Place("", ""), random.Random(0))
        for upload in self.uploads:
            self.history.lose(upload.writes)
        self.uploads.clear()

    def _forget(self, upload: Upload) -> None:
        """Its end is known; another thread may have learned of it, too."""
        with self.history.lock:
            self.uploads = [other for other in self.uploads if other is not upload]

    def _cancel(self, server: ServerProcess, upload: Upload) -> None:
        answer = server.client.post(f"/v1/jobs/{upload.job_id}/cancel")
        if _checked(answer, (200, 409)).status_code == 200:
            self._forget(upload)
            self.history.refuse(upload.writes)

    def _remove_matching(self, server: ServerProcess, place: Place, filter_: Mapping[str, object]) -> None:
        places = self._places_of(place.collection)
        with self._sent(_absent(places)) as writes:
            query = {"collection": place.collection, "filter": json.dumps(filter_)}
            answer = server.client.delete("/v1/documents", params=query)
            if not self._is_done(answer, writes):
                return
            gone = {document["source"] for document in answer.json()["receipt"]["documents"]}
            for at, other in enumerate(places):
                own = writes[at * 3 : at * 3 + 3]
                if other.source in gone:
                    self.history.acknowledge(own, _order(answer.json()))
                else:
                    self.history.refuse(own)

    def _new_version(self, place: Place, choice: random.Random) -> tuple[Values, dict[str, object]]:
        with self.history.lock:
            text = texts.successor(self.history, place, choice)
            title = texts.title(self.history, place, choice)
            tag = texts.tag(self.history)
        values = [(place.text, Value(text)), (place.title, Value(title)), (place.tag, tag)]
        return values, {"text": text, "title": title, "metadata": {"tag": tag.text}}

    def _places_of(self, collection: str) -> list[Place]:
        return [place for place in self.history.places.values() if place.collection == collection]

    @contextmanager
    def _sent(self, values: Values) -> Iterator[list[Write]]:
        """Writes around a request; a server that was killed meanwhile leaves them unknown."""
        writes = self.history.begin(values)
        try:
            yield writes
        except httpx2.TransportError:
            self.history.lose(writes)
            raise

    def _written(
        self, answer: httpx2.Response, place: Place, writes: Sequence[Write], *, is_ordered: bool = True
    ) -> None:
        if self._is_done(answer, writes):
            result = answer.json()
            place.document_id = str(result["id"])
            self.history.acknowledge(writes, _order(result) if is_ordered else None)

    def _is_done(self, answer: httpx2.Response, writes: Sequence[Write]) -> bool:
        if _checked(answer, (200, 201, *REFUSALS)).status_code in REFUSALS:
            self.history.refuse(writes)
            return False
        return True


def _absent(places: Sequence[Place]) -> Values:
    return [(register, ABSENT) for place in places for register in place.registers]


def _id_of(place: Place) -> str:
    return place.document_id or "00000000-0000-7000-8000-000000000000"


def _order(result: Mapping[str, Any]) -> int | None:
    """The version of a change; a write that changed nothing reports one that is not its own."""
    return None if result.get("status") == "unchanged" else int(result["corpus_version"])


def _checked(answer: httpx2.Response, expected: Sequence[int]) -> httpx2.Response:
    if answer.status_code not in expected:
        raise Violation(f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}")
    return answer


def _has_open_jobs(server: ServerProcess) -> bool:
    return any(
        server.client.get("/v1/jobs", params={"state": state}).json()["jobs"]
        for state in ("queued", "running")
    )
