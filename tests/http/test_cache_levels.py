"""What the caches do beyond finding: searches by themselves, packing, popularity."""

from __future__ import annotations

from pathlib import Path

import httpx2

from tests.http.test_cache import search
from tests.http.test_documents import add
from tests.requirements import verifies
from tests.support.process import running_server
from tests.support.waiting import wait_until

LIMIT_S = 60.0
POPULAR = 12
TTL_S = 10
"""What is popular lives twice as long: asking for it, and once for another, may take the difference."""


@verifies("CAC-02")
def test_a_repeated_search_is_found_until_its_collection_changes(
    client: httpx2.Client, collection: str
) -> None:
    """The very same hits; a write to another collection leaves them, one to their own does not."""
    add(client, collection, "The heron waits by the pond.")
    first, again = search(client, collection), search(client, collection)
    add(client, f"{collection}-b", "The stork nests on the roof.")
    beside = search(client, collection)
    add(client, collection, "The heron waits by the weir, too.")
    after = search(client, collection)

    assert [found["cache"] for found in (first, again, beside, after)] == ["miss", "hit", "hit", "miss"]
    assert first["hits"] == again["hits"] == beside["hits"]
    assert len(after["hits"]) > len(first["hits"])  # type: ignore[arg-type]


@verifies("CAC-09")
def test_what_lies_behind_memory_is_packed_and_says_how_well(home: Path) -> None:
    """Large entries shrink; the figures tell by how much; none of them is a pickle."""
    with running_server(home) as server:
        for number in range(6):
            add(server.client, "birds", f"Heron {number} waits by the pond. " * 40)
        search(server.client, "birds")

        def written() -> dict[str, int] | None:
            tier: dict[str, int] = server.client.get("/v1/cache").json()["tier"]
            return tier if tier["written_stored_bytes"] else None

        tier = wait_until(written, LIMIT_S)

    assert tier["written_stored_bytes"] < 0.8 * tier["written_payload_bytes"]
    assert b"\x80\x05\x95" not in (home / "cache.db").read_bytes()  # how a pickle begins


@verifies("CAC-11")
def test_a_popular_result_lives_longer(home: Path) -> None:
    """When a younger result that nobody wanted again has ended, one that was found often is still there.

    In the end it goes, too, though its response is kept as it was sent: that does not outlive it.
    """
    settings = {"RAGSTONE_CACHE__RETRIEVAL_TTL_S": str(TTL_S), "RAGSTONE_CACHE__DISK_MAX_BYTES": "0"}
    with running_server(home, settings) as server:
        add(server.client, "birds", "The heron waits by the pond.")

        def ask(query: str) -> str:
            body = {"query": query, "collections": ["birds"]}
            return str(server.client.post("/v1/search", json=body).raise_for_status().json()["cache"])

        assert [ask("Popular?") for _ in range(POPULAR)] == ["miss"] + ["hit"] * (POPULAR - 1)
        ask("Rare?")

        def entries() -> int:
            caches = server.client.get("/v1/cache").json()["caches"]
            return int(next(cache["entries"] for cache in caches if cache["name"] == "retrieval"))

        assert entries() == 2
        wait_until(lambda: True if entries() == 1 else None, LIMIT_S)

        assert (ask("Popular?"), ask("Rare?")) == ("hit", "miss")
        wait_until(lambda: True if ask("Popular?") == "miss" else None, LIMIT_S)
