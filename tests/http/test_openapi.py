"""The description of the interface is complete and true."""

from __future__ import annotations

import httpx2

from tests.support.wellness import all_well

METHODS = {"get", "post", "put", "patch", "delete"}


def test_every_operation_is_described(client: httpx2.Client) -> None:
    """Each operation has a summary and a description, and JSON bodies have examples."""
    described = client.get("/openapi.json").json()

    operations = [
        (path, operation)
        for path, item in described["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    ]
    assert len(operations) >= 18
    for path, operation in operations:
        assert operation["summary"], path
        assert operation["description"], path
    schemas = described["components"]["schemas"]
    for name in ("SearchBody", "AskBody"):
        assert any("examples" in field for field in schemas[name]["properties"].values())


def test_pages_of_documents_lead_on(client: httpx2.Client, collection: str) -> None:
    """The cursor walks every document once, in the order they came in."""
    added = [
        client.post("/v1/documents", json={"text": f"Document number {n}.", "collection": collection}).json()[
            "id"
        ]
        for n in range(7)
    ]

    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = {"collection": collection, "limit": "3", **({"cursor": cursor} if cursor else {})}
        page = client.get("/v1/documents", params=query).json()
        seen += [document["id"] for document in page["documents"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert seen == added


def test_health_and_index_answer(client: httpx2.Client) -> None:
    """Health names every component; the root says where to go on."""
    health = all_well(client)

    assert set(health["components"]) == {"store", "indexes", "embedder", "gpu", "generator", "cache"}
    assert client.get("/health/live").json() == {"status": "ok"}
    assert client.get("/").json()["links"]["openapi"] == "/openapi.json"
