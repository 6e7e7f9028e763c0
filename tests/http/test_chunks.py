"""Chunks over HTTP: each strategy, previews, figures, expansion."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.http.test_documents import add, hits
from tests.requirements import verifies

Wire = dict[str, Any]
STRATEGIES = ("structure", "semantic", "code", "table")

TABLE = "| city | river |\n| --- | --- |\n" + "".join(
    f"| City number {n} on its hill | The long river {n} |\n" for n in range(60)
)
GUIDE = "# Guide\n\n## Ferries\n\n" + " ".join(
    f"Ferry {n} leaves at hour {n} for island {n}." for n in range(60)
)
CODE = (
    '"""Money."""\n\n\nclass Purse:\n    def add(self, coin):\n        self.coins.append(coin)\n\n'
    + "".join(f"    def method_{n}(self):\n        return self.coins[{n}] + {n}\n\n" for n in range(12))
    + "\ndef empty(purse):\n    purse.coins.clear()\n"
)


def preview(client: httpx2.Client, **body: object) -> Wire:
    """How a text would be cut."""
    response = client.post("/v1/chunk-preview", json=body)
    assert response.status_code == 200, response.text
    found: Wire = response.json()
    return found


def preview_file(client: httpx2.Client, name: str, content: str, **fields: str) -> Wire:
    """How a file would be cut."""
    response = client.post("/v1/chunk-preview", files={"file": (name, content.encode())}, data=fields)
    assert response.status_code == 200, response.text
    found: Wire = response.json()
    return found


def stored_chunks(client: httpx2.Client, collection: str, query: str) -> list[Wire]:
    """Every hit of a query that all chunks answer, in the order of the text."""
    found: list[Wire] = list(hits(client, collection, query, top_k=100, mode="dense"))
    return sorted(found, key=lambda hit: int(hit["span"]["start"]))


def spans(chunks: Sequence[Wire]) -> list[tuple[int, int]]:
    """Where the chunks lie."""
    return [(chunk["span"]["start"], chunk["span"]["end"]) for chunk in chunks]


@verifies("CHK-01", "CHK-03", "CHK-06", "CHK-07")
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_is_stored_is_what_the_preview_showed(
    client: httpx2.Client, collection: str, strategy: str
) -> None:
    """For each strategy: the same spans within the budget; between them lies nothing but white space."""
    options = {"chunk_strategy": strategy, "chunk_max_tokens": 64, "chunk_overlap_tokens": 8}
    made = client.post("/v1/collections", json={"name": collection, **options}).json()
    text = f"{GUIDE}\n\n{TABLE}"
    shown = preview(client, text=text, **options)
    assert client.get("/v1/documents", params={"collection": collection}).json()["documents"] == []
    written = add(client, collection, text)
    stored = client.get(f"/v1/documents/{written['id']}/text").json()["text"]

    chunks = stored_chunks(client, collection, "ferry city river")

    assert made["chunking"] == {"strategy": strategy, "max_tokens": 64, "overlap_tokens": 8}
    assert spans(chunks) == spans(shown["chunks"])
    assert shown["statistics"]["chunk_count"] == len(chunks) == written["chunk_count"]
    assert 32 < shown["statistics"]["tokens"]["p95"] <= shown["statistics"]["tokens"]["max"] <= 64
    position = 0
    for chunk in chunks:
        start, end = chunk["span"]["start"], chunk["span"]["end"]
        assert chunk["text"] == stored[start:end]
        assert not stored[position:start].strip()
        position = max(position, end)
    assert not stored[position:].strip()


@verifies("CHK-01")
def test_overlap_is_what_was_asked_for(client: httpx2.Client) -> None:
    """Neighbours share text with an overlap, and nothing without."""
    with_overlap = preview(client, text=GUIDE, chunk_max_tokens=64, chunk_overlap_tokens=16)
    without = preview(client, text=GUIDE, chunk_max_tokens=64)

    assert all(
        after["span"]["start"] < before["span"]["end"] for before, after in pairwise(with_overlap["chunks"])
    )
    assert 0.1 < with_overlap["statistics"]["overlap_share"] < 0.3
    assert without["statistics"]["overlap_share"] == 0


@verifies("CHK-02")
def test_a_chunk_is_found_by_a_heading_that_its_text_does_not_have(
    client: httpx2.Client, collection: str
) -> None:
    """The heading path goes with every chunk below it, in both legs, and is shown apart from the text."""
    client.post("/v1/collections", json={"name": collection, "chunk_max_tokens": 32})
    add(client, collection, "# Zebras\n\n" + " ".join(f"They graze on plain {n}." for n in range(40)))

    found = hits(client, collection, "zebras", mode="lexical", top_k=50)

    assert len(found) > 3
    assert all(hit["section"] == ["Zebras"] for hit in found)
    assert sum("Zebras" in str(hit["text"]) for hit in found) == 1


@verifies("CHK-04", "ING-03")
def test_source_code_is_cut_between_functions(client: httpx2.Client, collection: str) -> None:
    """Functions are whole, under their qualified name; the language is kept and can be filtered on."""
    client.post("/v1/collections", json={"name": collection, "chunk_max_tokens": 32})
    files = [
        ("file", ("purse.py", CODE.encode())),
        ("file", ("notes.md", b"# Purse\n\nA purse holds coins.")),
    ]
    done = client.post("/v1/documents", files=files, data={"collection": collection}).json()
    only_python = {"type": "eq", "key": "$language", "value": "python"}

    found = hits(client, collection, "method_7", mode="lexical", filters=only_python)

    document = client.get(f"/v1/documents/{done['results'][0]['id']}").json()
    assert (document["language"], document["warnings"]) == ("python", [])
    assert found[0]["section"] == ["Purse", "method_7"]
    assert found[0]["text"] == "    def method_7(self):\n        return self.coins[7] + 7"
    assert {hit["document_id"] for hit in hits(client, collection, "purse", filters=only_python)} == {
        document["id"]
    }


@verifies("CHK-05", "ING-07")
@pytest.mark.parametrize("name", ["rivers.csv", "rivers.md"])
def test_rows_are_whole_and_found_by_their_header(client: httpx2.Client, collection: str, name: str) -> None:
    """Every chunk of a table is whole rows, and a word of the header finds those without it, in both legs."""
    client.post("/v1/collections", json={"name": collection, "chunk_max_tokens": 64})
    rows = "".join(f"City number {n} on its hill,The long stream {n}\n" for n in range(60))
    content = (
        f"city,confluence\n{rows}"
        if name.endswith(".csv")
        else TABLE.replace("river |\n", "confluence |\n", 1)
    )
    sent = client.post(
        "/v1/documents", files={"file": (name, content.encode())}, data={"collection": collection}
    )
    assert sent.status_code == 201, sent.text

    found = hits(client, collection, "confluence", mode="lexical", top_k=100)

    assert len(found) == sent.json()["chunk_count"] > 10
    for hit in found:
        lines = str(hit["text"]).splitlines()
        assert all(line.startswith("| ") and line.endswith(" |") for line in lines)
        is_first = "confluence" in str(hit["text"])
        assert is_first or hit["section"][-1] == "city | confluence"  # type: ignore[index]


@verifies("CHK-06")
def test_figures_of_what_is_stored(client: httpx2.Client, collection: str) -> None:
    """A document's figures are its preview's; a collection's count all of its documents."""
    client.post(
        "/v1/collections", json={"name": collection, "chunk_max_tokens": 64, "chunk_overlap_tokens": 8}
    )
    written = add(client, collection, GUIDE)
    shown = preview(client, text=GUIDE, chunk_max_tokens=64, chunk_overlap_tokens=8)
    alone = client.get(f"/v1/collections/{collection}/chunk-statistics").json()
    add(client, collection, "One more line.")

    of_document = client.get(f"/v1/documents/{written['id']}/chunk-statistics").json()
    of_all = client.get(f"/v1/collections/{collection}/chunk-statistics").json()

    assert of_document == alone == shown["statistics"]
    assert of_all["chunk_count"] == alone["chunk_count"] + 1
    assert client.get("/v1/documents/nope/chunk-statistics").status_code == 404
    assert client.get("/v1/collections/nope-nope/chunk-statistics").status_code == 404


def test_a_preview_shows_as_many_as_asked_and_counts_all(client: httpx2.Client) -> None:
    """Files and texts alike; what is wrong is named."""
    shown = preview_file(client, "guide.md", GUIDE, chunk_max_tokens="64", limit="2", title="Guide")

    assert (len(shown["chunks"]), shown["title"], shown["media_type"]) == (2, "Guide", "text/markdown")
    assert shown["statistics"]["chunk_count"] > 5
    for body, word in (
        ({"text": "a", "chunk_strategy": "sentence"}, "chunk_strategy"),
        ({"text": "a", "chunk_max_tokens": 32, "chunk_overlap_tokens": 32}, "overlap of 32 tokens"),
        ({"text": "a", "chunk_max_tokens": 2}, "chunk_max_tokens"),
        ({"text": " "}, "white space"),
        ({"text": "a", "limit": 1001}, "limit"),
        ({"text": "a", "collection": "x"}, "collection"),
    ):
        refused = client.post("/v1/chunk-preview", json=body)
        assert refused.status_code == 422
        assert word in refused.json()["detail"]
    two = [("file", ("a.md", b"a")), ("file", ("b.md", b"b"))]
    assert "not 2" in client.post("/v1/chunk-preview", files=two).json()["detail"]
    unknown = client.post("/v1/chunk-preview", files={"file": ("a.md", b"a")}, data={"size": "3"})
    assert "'size'" in unknown.json()["detail"]


@verifies("CHK-08")
def test_hits_come_with_what_stands_around_them(client: httpx2.Client, collection: str) -> None:
    """Neighbours or the section, as exact spans that hold the hit; hits and scores stay the same."""
    client.post("/v1/collections", json={"name": collection, "chunk_max_tokens": 32})
    written = add(client, collection, f"{GUIDE}\n\n## Prices\n\nA crossing costs two coins.")
    stored = client.get(f"/v1/documents/{written['id']}/text").json()["text"]
    query = "ferry 31 to island 31"
    plain = hits(client, collection, query, top_k=3)

    by_neighbours: list[Wire] = list(hits(client, collection, query, top_k=3, expand={"neighbours": 1}))
    by_section: list[Wire] = list(hits(client, collection, query, top_k=3, expand="section"))

    ordered = spans(stored_chunks(client, collection, "ferry"))
    for hit in by_neighbours:
        at = ordered.index((hit["span"]["start"], hit["span"]["end"]))
        around = hit["surroundings"]["span"]
        assert (around["start"], around["end"]) == (ordered[max(0, at - 1)][0], ordered[at + 1][1])
    section = stored.index("## Ferries"), stored.index("## Prices")
    assert tuple(by_section[0]["surroundings"]["span"].values()) == section
    for hit in (*by_neighbours, *by_section):
        around = hit["surroundings"]["span"]
        assert hit["surroundings"]["text"] == stored[around["start"] : around["end"]]
        assert hit["text"] in hit["surroundings"]["text"]
    for expanded in (by_neighbours, by_section):
        assert [{name: hit[name] for name in hit if name != "surroundings"} for hit in expanded] == plain

    chunk_id = by_section[0]["chunk_id"]
    alone = client.get(f"/v1/chunks/{chunk_id}", params={"expand": "section"}).json()
    beside = client.get(f"/v1/chunks/{chunk_id}", params={"neighbours": 1}).json()
    assert alone["text"] == by_section[0]["surroundings"]["text"]
    assert beside["text"] == by_neighbours[0]["surroundings"]["text"]


@pytest.mark.parametrize("expand", ["chapter", {"neighbours": 11}, {"neighbours": -1}, {"before": 1}, 3])
def test_an_expansion_that_is_none_is_refused(client: httpx2.Client, expand: object) -> None:
    """And so are two at once around a chunk."""
    refused = client.post("/v1/search", json={"query": "a", "expand": expand})
    both = client.get(f"/v1/chunks/{uuid4()}", params={"neighbours": 1, "expand": "section"})
    gone = client.get(f"/v1/chunks/{uuid4()}", params={"neighbours": 1})

    assert (refused.status_code, both.status_code, gone.status_code) == (422, 422, 404)
    assert "expand" in refused.json()["detail"]
