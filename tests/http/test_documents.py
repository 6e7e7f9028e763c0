"""Documents over HTTP: added, listed, replaced, removed, and found or not found accordingly."""

from __future__ import annotations

import httpx2
import pytest

from tests.requirements import verifies


def add(client: httpx2.Client, collection: str, text: str, **fields: object) -> dict[str, object]:
    """Add a text; the response's body."""
    response = client.post("/v1/documents", json={"text": text, "collection": collection, **fields})
    assert response.status_code == 201, response.text
    body: dict[str, object] = response.json()
    return body


def hits(client: httpx2.Client, collection: str, query: str, **fields: object) -> list[dict[str, object]]:
    """The hits of a search."""
    response = client.post("/v1/search", json={"query": query, "collections": [collection], **fields})
    assert response.status_code == 200, response.text
    found: list[dict[str, object]] = response.json()["hits"]
    return found


@verifies("ING-11")
def test_text_is_searchable_when_the_call_returns(client: httpx2.Client, collection: str) -> None:
    """Inline text is found by every mode in the very next request, with its metadata."""
    written = add(client, collection, "The quokka lives on Rottnest Island.", metadata={"kind": "animal"})

    for mode in ("hybrid", "lexical", "dense"):
        found = hits(client, collection, "quokka", mode=mode)
        assert [hit["document_id"] for hit in found] == [written["id"]]
        assert "animal" in str(found[0]["metadata"])


@pytest.mark.parametrize("mode", ["hybrid", "lexical", "dense"])
def test_replaced_text_cannot_be_found(client: httpx2.Client, collection: str, mode: str) -> None:
    """After PUT returns only the new text answers, under the same id and a higher version."""
    written = add(client, collection, "The password is swordfish.")

    replaced = client.put(f"/v1/documents/{written['id']}", json={"text": "The password is marlin."}).json()

    assert (replaced["id"], replaced["version"]) == (written["id"], 2)
    assert int(replaced["corpus_version"]) > int(str(written["corpus_version"]))
    assert [
        hit["text"]
        for hit in hits(client, collection, "swordfish", mode=mode)
        if "swordfish" in str(hit["text"])
    ] == []
    assert hits(client, collection, "marlin", mode=mode)[0]["text"] == "The password is marlin."


@pytest.mark.parametrize("mode", ["hybrid", "lexical", "dense"])
def test_removed_text_cannot_be_found(client: httpx2.Client, collection: str, mode: str) -> None:
    """After DELETE returns nothing of the document is reachable by any door's reader."""
    written = add(client, collection, "The vault code is 7341.")
    chunk_id = hits(client, collection, "vault code")[0]["chunk_id"]

    removed = client.delete(f"/v1/documents/{written['id']}")

    assert removed.status_code == 200
    assert hits(client, collection, "vault code 7341", mode=mode) == []
    for path in (
        f"/v1/documents/{written['id']}",
        f"/v1/documents/{written['id']}/text",
        f"/v1/chunks/{chunk_id}",
    ):
        assert client.get(path).status_code == 404
    answer = client.post("/v1/ask", json={"question": "vault code", "collections": [collection]}).json()
    assert answer["citations"] == []
    assert "7341" not in answer["answer"]


@verifies("ING-19")
def test_an_edit_embeds_only_what_changed(client: httpx2.Client, collection: str) -> None:
    """Of a document of many sections with one changed, one chunk is embedded; the metric says so, too."""
    sections = [f"## Part {n}\n\n" + f"Sentence {n} tells about topic {n}. " * 40 for n in range(12)]
    written = add(client, collection, "\n\n".join(sections))
    before = embedded_total(client)

    sections[5] = sections[5].replace("topic 5", "topic fifty", 1)
    replaced = client.put(f"/v1/documents/{written['id']}", json={"text": "\n\n".join(sections)}).json()

    assert replaced["chunk_count"] == written["chunk_count"]
    assert replaced["chunk_count"] >= 12
    assert 1 <= replaced["embedded_count"] <= 2
    assert embedded_total(client) - before == replaced["embedded_count"]


def embedded_total(client: httpx2.Client) -> float:
    """The counter of embedded chunks."""
    lines = client.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("ragstone_chunks_embedded_total"))
