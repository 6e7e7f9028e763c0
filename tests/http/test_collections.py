"""Collections over HTTP."""

from __future__ import annotations

import httpx2
import pytest

from tests.http.test_documents import add, hits
from tests.requirements import verifies


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


@verifies("ING-21")
def test_documents_are_filtered_sorted_paged_and_counted(client: httpx2.Client, collection: str) -> None:
    """Any order, page by page, each document once; counts by a metadata key add up to the whole."""
    for number, team in enumerate(("front desk", "archive", "front desk", None, "archive")):
        body = {"text": f"Note {number}. " + "More. " * number, "title": f"Note {5 - number}"}
        added = client.post(
            "/v1/documents",
            json=body | {"collection": collection, "metadata": {"team": team} if team else {}},
        )
        assert added.status_code == 201

    titles: list[str] = []
    page: dict[str, object] = {"next_cursor": None}
    while len(titles) < 5:
        cursor = {} if page["next_cursor"] is None else {"cursor": str(page["next_cursor"])}
        query = {"collection": collection, "sort": "-size_bytes", "limit": "2", **cursor}
        page = client.get("/v1/documents", params=query).json()
        titles += [str(found["title"]) for found in page["documents"]]  # type: ignore[attr-defined]
    team = '{"type": "eq", "key": "team", "value": "archive"}'
    archived = client.get("/v1/documents", params={"collection": collection, "filter": team, "sort": "title"})
    counted = client.get(f"/v1/collections/{collection}/statistics", params={"by": "team"}).json()
    unknown = client.get("/v1/documents", params={"sort": "colour"})
    foreign = client.get("/v1/documents", params={"sort": "title", "cursor": "7"})

    assert titles == ["Note 1", "Note 2", "Note 3", "Note 4", "Note 5"]
    assert page["next_cursor"] is None
    assert [found["title"] for found in archived.json()["documents"]] == ["Note 1", "Note 4"]
    counts = {count["value"]: count["document_count"] for count in counted["counts"]}
    assert counts == {"archive": 2, "front desk": 2, None: 1}
    assert (counted["document_count"], counted["by"]) == (5, "team")
    assert counted["size_bytes"] == sum(count["size_bytes"] for count in counted["counts"])
    assert (unknown.status_code, foreign.status_code) == (422, 422)
    assert "colour" in unknown.json()["detail"] and "cursor" in foreign.json()["detail"]
