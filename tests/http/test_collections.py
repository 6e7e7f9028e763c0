"""Collections over HTTP."""

from __future__ import annotations

import httpx2
import pytest

from tests.http.test_documents import add, hits


def test_settings_are_fixed_at_creation(client: httpx2.Client, collection: str) -> None:
    """The same again is no error; another language or chunking under the name is a conflict."""
    first = client.post("/v1/collections", json={"name": collection, "language": "de"})
    again = client.post("/v1/collections", json={"name": collection, "language": "de"})
    other = client.post("/v1/collections", json={"name": collection, "language": "fr"})
    endless = client.post(
        "/v1/collections",
        json={"name": f"{collection}-x", "chunk_max_tokens": 16, "chunk_overlap_tokens": 16},
    )

    assert (first.status_code, again.status_code) == (201, 201)
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    assert (endless.status_code, endless.json()["code"]) == (422, "invalid_request")
    listed = {found["name"]: found for found in client.get("/v1/collections").json()["collections"]}
    assert listed[collection]["language"] == "de"
    assert f"{collection}-x" not in listed


@pytest.mark.parametrize(
    "text", ["%PDF-1.7 begins every PDF file.", "GIF89a was a version.", "PK\x03\x04 marks ZIP."]
)
def test_inline_text_is_text_whatever_it_looks_like(
    client: httpx2.Client, collection: str, text: str
) -> None:
    """Text about file formats is not taken for a file of that format."""
    add(client, collection, text)

    assert len(hits(client, collection, text)) == 1


def test_files_of_one_name_are_not_taken_together(client: httpx2.Client, collection: str) -> None:
    """The second would silently replace the first: the request is refused and nothing is stored."""
    files = [("file", ("README.md", b"# One")), ("file", ("README.md", b"# Two"))]

    response = client.post("/v1/documents", files=files, data={"collection": collection})

    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert "README.md" in response.json()["detail"]
    assert client.get("/v1/documents", params={"collection": collection}).status_code == 404
