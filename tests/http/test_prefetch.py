"""Prefetching over HTTP: what usually comes next lies in the cache before it is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.requirements import verifies
from tests.support.process import Server, running_server
from tests.support.waiting import wait_until

Wire = dict[str, Any]
LIMIT_S = 60.0
FIRST, NEXT = "Who keeps the key?", "Where is the lamp?"


def add(server: Server, text: str) -> None:
    """A document of its own."""
    server.client.post("/v1/documents", json={"text": text}).raise_for_status()


def search(server: Server, query: str) -> Wire:
    """One search."""
    found: Wire = server.client.post("/v1/search", json={"query": query}).raise_for_status().json()
    return found


def popular(server: Server) -> list[Wire]:
    """What was asked."""
    found: list[Wire] = server.client.get("/v1/queries/popular").json()["queries"]
    return found


def prefetch(server: Server) -> Wire:
    """What was prefetched."""
    found: Wire = server.client.get("/v1/cache/warming").json()["prefetch"]
    return found


def ask_in_turn(server: Server, times: int) -> None:
    """The one question after the other, until both are stored."""
    add(server, "The porter keeps the key. The lamp is in the hall.")
    for _ in range(times):
        search(server, FIRST)
        search(server, NEXT)

    def stored() -> bool | None:
        found = server.client.get("/v1/queries/popular").json()["queries"]
        return [one["count"] for one in found] == [times, times] or None

    wait_until(stored, LIMIT_S)


@verifies("CAC-16")
def test_what_usually_comes_next_is_answered_ahead(home: Path) -> None:
    """After a change nothing is cached; one question is asked, and the other one, its follow-up, is found."""
    with running_server(home, {"RAGSTONE_CACHE__PREFETCH_FOLLOW_UPS": "2"}) as server:
        ask_in_turn(server, 3)
        add(server, "The hall is closed at night.")
        before = prefetch(server)

        assert search(server, FIRST)["cache"] == "miss"
        wait_until(lambda: prefetch(server)["warmed"] > before["warmed"] or None, LIMIT_S)
        found = search(server, NEXT)

        assert found["cache"] == "hit"
        assert found["hits"][0]["text"].startswith("The porter")
        told = prefetch(server)
        assert (told["is_on"], told["failed"], told["skipped"]) == (True, 0, 0)
        assert told["used"] == before["used"] + 1
        counted = {one["query"]: one["count"] for one in popular(server)}
        assert max(counted.values()) <= 4, "what is prefetched is not counted as asked"


def test_it_is_off_by_default(home: Path) -> None:
    """Nothing is asked that nobody asked."""
    with running_server(home) as server:
        ask_in_turn(server, 3)
        add(server, "The hall is closed at night.")
        search(server, FIRST)

        assert search(server, NEXT)["cache"] == "miss"
        told = prefetch(server)
        assert (told["is_on"], told["warmed"], told["used"]) == (False, 0, 0)
