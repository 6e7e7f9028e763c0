"""What was acknowledged to a caller, and whether all of it is still there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.support.process import COMMAND_LIMIT_S, run_command
from tests.support.watched import WatchedProcess

MODES = ("hybrid", "lexical", "dense")
COLLECTION = "ledger"
PAGE_CHARS = 100_000


@dataclass(frozen=True, slots=True)
class Text:
    """A document's text; its first sentence holds a word that stands in no other."""

    marker: str
    body: str

    @property
    def sentence(self) -> str:
        """The sentence with the marker."""
        return self.body.partition("\n")[0]


class Ledger:
    """A home, the server on it, and every document that a response has acknowledged."""

    def __init__(self, home: Path, environ: Mapping[str, str] | None = None) -> None:
        self.home = home
        self._environ = environ
        self.acknowledged: dict[str, Text] = {}
        self._written = 0
        self.restart()
        made = self.client.post("/v1/collections", json={"name": COLLECTION, "chunk_max_tokens": 16})
        assert made.status_code == 201, made.text

    def restart(self) -> None:
        """A new server process on the home."""
        self.server = WatchedProcess("serve", "--port", "0", home=self.home, environ=self._environ)
        url = self.server.wait_for("Ragstone answers at ").split()[3]
        self.client = httpx2.Client(base_url=url, timeout=COMMAND_LIMIT_S, trust_env=False)

    def crash(self) -> None:
        """kill -9, and another server on the home."""
        self.server.process.kill()
        self.client.close()
        self.server.wait()
        self.restart()

    def stop(self) -> int:
        """End the server as an operator would; its exit code."""
        self.client.close()
        return self.server.end()

    def distinct_text(self, sentence_count: int) -> Text:
        """A text in which every sentence is another, so that every chunk must be embedded."""
        marker = self._marker()
        lines = [f"Crate {n} of {marker} weighs {n * 7} grams." for n in range(sentence_count)]
        return Text(marker, "\n\n".join([self._first(marker), *lines]))

    def repeated_text(self, sentence_count: int) -> Text:
        """A text of many chunks of which few differ: quick to embed, long to write and to index."""
        marker = self._marker()
        return Text(
            marker, "\n\n".join([self._first(marker), *["The ferry leaves at noon."] * sentence_count])
        )

    def add(self, text: Text) -> str:
        """Add a text and note that it was acknowledged; the document's id."""
        response = self.client.post("/v1/documents", json=self.body(text))
        assert response.status_code == 201, response.text
        document_id = str(response.json()["id"])
        self.acknowledged[document_id] = text
        return document_id

    def any_long(self) -> str | None:
        """The id of an acknowledged document of many chunks, if there is one."""
        long = (found for found, text in self.acknowledged.items() if len(text.body) > PAGE_CHARS // 4)
        return next(long, None)

    def body(self, text: Text) -> Mapping[str, str]:
        """The request that adds a text; its source is the marker."""
        return {"text": text.body, "collection": COLLECTION, "source": text.marker}

    def documents_by_source(self) -> dict[str, str]:
        """Ids of all documents by their source, as the server lists them."""
        found: dict[str, str] = {}
        cursor: str | None = None
        while True:
            query = {"collection": COLLECTION, "limit": "200"} | ({"cursor": cursor} if cursor else {})
            page = self.client.get("/v1/documents", params=query).json()
            found |= {str(document["source"]): document["id"] for document in page["documents"]}
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    def assert_whole(self) -> None:
        """Every acknowledged document has exactly its text and is found by every mode."""
        sources = {document_id: source for source, document_id in self.documents_by_source().items()}
        for document_id, text in self.acknowledged.items():
            assert self.read(document_id) == text.body
            only = {"type": "eq", "key": "$source", "value": sources[document_id]}
            for mode in MODES:
                hits = self._search(text, mode, filters=only)
                assert document_id in {hit["document_id"] for hit in hits}, f"{text.marker} by {mode}"

    def assert_absent(self, text: Text) -> None:
        """Nothing of a text is listed or found."""
        assert text.marker not in self.documents_by_source()
        for mode in MODES:
            assert self.found(text, mode) == set()

    def read(self, document_id: str) -> str:
        """The stored text of a document."""
        pages: list[str] = []
        while True:
            start = sum(map(len, pages))
            span = {"start": start, "end": start + PAGE_CHARS}
            passage = self.client.get(f"/v1/documents/{document_id}/text", params=span).json()
            pages.append(passage["text"])
            if start + PAGE_CHARS >= passage["char_count"]:
                return "".join(pages)

    def found(self, text: Text, mode: str) -> set[str]:
        """The documents with a hit that holds the text's marker, searched for by its sentence."""
        hits = self._search(text, mode, top_k=100)
        return {str(hit["document_id"]) for hit in hits if text.marker in str(hit["text"])}

    def check(self, *flags: str) -> int:
        """The exit code of `ragstone check`, with what it said in the assertion when it is not 0."""
        done = run_command("check", *flags, home=self.home)
        assert done.exit_code in (0, 1), done.stderr
        if done.exit_code:
            print(done.stdout)
        return done.exit_code

    def _search(self, text: Text, mode: str, **options: object) -> list[dict[str, object]]:
        query = text.marker if mode == "lexical" else text.sentence
        asked = {"query": query, "mode": mode, "collections": [COLLECTION], **options}
        response = self.client.post("/v1/search", json=asked)
        assert response.status_code == 200, response.text
        assert response.json()["degraded"] == []
        found: list[dict[str, object]] = response.json()["hits"]
        return found

    def _marker(self) -> str:
        self._written += 1
        return f"zanobi{self._written:04d}"

    def _first(self, marker: str) -> str:
        topics = ("glacier", "violin", "beehive", "harbour", "printing", "vineyard", "comet", "library")
        return f"The {topics[self._written % len(topics)]} archive is kept by {marker}."


@contextmanager
def open_ledger(home: Path, environ: Mapping[str, str] | None = None) -> Iterator[Ledger]:
    """A ledger whose server ends with the block."""
    ledger = Ledger(home, environ)
    try:
        yield ledger
    finally:
        ledger.stop()
