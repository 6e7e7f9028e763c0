"""Documents looked up by id: from memory while nothing changes, never from before a change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2

from tests.requirements import verifies
from tests.support.process import running_server

Wire = dict[str, Any]


def hits(client: httpx2.Client) -> int:
    """Look-ups that memory answered."""
    caches = client.get("/v1/cache").json()["caches"]
    return int(next(cache["hits"].get("memory", 0) for cache in caches if cache["name"] == "document"))


def title(client: httpx2.Client, document_id: str) -> str:
    """As it is told now."""
    found: str = client.get(f"/v1/documents/{document_id}").raise_for_status().json()["title"]
    return found


@verifies("CAC-07", "CAC-15")
def test_a_document_is_told_from_memory_until_something_changes(home: Path) -> None:
    """Edited and removed through another process: the next look tells it, by each process."""
    with running_server(home) as one, running_server(home) as other:
        body = {"text": "The porter keeps the key.", "title": "Keys"}
        document_id = one.client.post("/v1/documents", json=body).json()["id"]
        told = [title(one.client, document_id) for _ in range(3)]
        found = hits(one.client)

        other.client.patch(f"/v1/documents/{document_id}", json={"title": "Lost keys"}).raise_for_status()
        after_edit = [title(server.client, document_id) for server in (one, other)]
        other.client.delete(f"/v1/documents/{document_id}").raise_for_status()
        after_removal = [server.client.get(f"/v1/documents/{document_id}") for server in (one, other)]

    assert (told, found) == (["Keys"] * 3, 2)
    assert after_edit == ["Lost keys"] * 2
    assert [response.status_code for response in after_removal] == [404, 404]


def test_everything_about_it_is_the_same_from_memory(home: Path) -> None:
    """Metadata of every kind, a number beyond 64 bits and warnings; and with the cache off."""
    body = {
        "text": "The porter keeps the key.",
        "metadata": {"a": [1, 2.5, None, True, {"b": "ü"}], "n": 2**70},
    }
    with running_server(home) as server:
        document_id = server.client.post("/v1/documents", json=body).json()["id"]
        first, second = (server.client.get(f"/v1/documents/{document_id}").json() for _ in range(2))
        found = hits(server.client)
    with running_server(home, {"RAGSTONE_CACHE__DOCUMENT_MAX_BYTES": "0"}) as server:
        off = server.client.get(f"/v1/documents/{document_id}").json()

    assert first == second == off
    assert first["metadata"]["n"] == 2**70
    assert found == 1


@verifies("CAC-15")
def test_clearing_a_collection_forgets_what_is_told_of_its_documents(home: Path) -> None:
    """Of that collection only."""
    with running_server(home) as server:
        ids = [
            server.client.post("/v1/documents", json={"text": name, "collection": name}).json()["id"]
            for name in ("camp", "town")
        ]
        for document_id in ids:
            title(server.client, document_id)
        cleared = server.client.delete("/v1/cache", params={"collection": "camp"}).json()
        for document_id in ids:
            title(server.client, document_id)

        assert cleared["cleared"] == 1
        assert hits(server.client) == 1
