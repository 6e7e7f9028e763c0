"""Warming over HTTP: by hand, at start, on schedule, after a change; told of, and cancelled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.requirements import verifies
from tests.support.process import Server, running_server
from tests.support.waiting import wait_until

Wire = dict[str, Any]
LIMIT_S = 60.0
QUESTIONS = ("Who keeps the key?", "Where is the lamp?", "When is tea?")


def fill(server: Server) -> None:
    """A document, and three questions in order of their popularity, stored."""
    server.client.post("/v1/documents", json={"text": "The porter keeps the key.", "source": "keys"})
    for count, question in enumerate(QUESTIONS, start=1):
        for _ in range(count):
            server.client.post("/v1/search", json={"query": question})
    server.client.post("/v1/ask", json={"question": QUESTIONS[2]})
    # Stored by and by: the first askings may be there before the last.
    wait_until(lambda: [count for _, count in popular(server)] == [4, 2, 1] or None, LIMIT_S)


def popular(server: Server) -> list[tuple[str, int]]:
    """What was asked."""
    found = server.client.get("/v1/queries/popular").json()["queries"]
    return [(one["query"], one["count"]) for one in found]


def warming(server: Server) -> Wire:
    """What warming does and has done."""
    found: Wire = server.client.get("/v1/cache/warming").json()
    return found


def run_with(server: Server, reason: str) -> Wire:
    """The last run, once it is of this reason."""

    def look() -> Wire | None:
        last = warming(server)["last"]
        return last if last is not None and last["reason"] == reason else None

    return wait_until(look, LIMIT_S)


@verifies("CAC-14")
def test_the_most_asked_questions_are_asked_again(home: Path) -> None:
    """By hand: as many as wanted, none of them counted again; the answer comes at once, or at the end."""
    with running_server(home) as server:
        fill(server)
        before = popular(server)

        begun = server.client.post("/v1/cache/warm")
        whole = server.client.post("/v1/cache/warm", json={"wait": True})
        some = server.client.post("/v1/cache/warm", json={"wait": True, "top": 2}).json()
        metrics = server.client.get("/metrics").text

        assert (begun.status_code, whole.status_code) == (202, 200)
        last = whole.json()["last"]
        assert (last["state"], last["reason"], last["planned"], last["warmed"]) == ("done", "asked", 3, 3)
        assert (last["failed"], last["skipped"]) == (0, 0)
        assert some["last"]["planned"] == 2
        assert warming(server)["warmed_count"] == some["warmed_count"] >= 5
        assert 'ragstone_cache_warmed_requests_total{outcome="warmed"}' in metrics
        assert popular(server) == before


@verifies("CAC-14")
def test_a_warming_is_cancelled(home: Path) -> None:
    """Cancelling ends the run that goes on; without one nothing happens."""
    with running_server(home) as server:
        nothing = server.client.delete("/v1/cache/warming").json()
        fill(server)
        server.client.post("/v1/cache/warm")
        server.client.delete("/v1/cache/warming")

        assert nothing["last"] is None
        found = warming(server)
        assert (found["is_running"], found["current"]) == (False, None)
        assert found["last"]["state"] in ("cancelled", "done")


def by_restart(server: Server) -> None:
    """Nothing: the start itself warms."""


def by_change(server: Server) -> None:
    """A document that replaces another."""
    body = {"text": "The porter has lost the key.", "source": "keys"}
    assert server.client.post("/v1/documents", json=body).status_code in (200, 201)


@pytest.mark.parametrize(
    ("setting", "value", "reason", "begin"),
    [
        ("WARM_AT_START", "true", "start", by_restart),
        ("WARM_EVERY_S", "0.2", "schedule", by_restart),
        ("WARM_AFTER_CHANGE_S", "0.2", "change", by_change),
    ],
)
@verifies("CAC-14")
def test_warming_begins_by_itself(
    home: Path, setting: str, value: str, reason: str, begin: Callable[[Server], None]
) -> None:
    """At start, on schedule, after a change of the corpus: a run of that reason, over what is stored."""
    with running_server(home) as server:
        fill(server)
    with running_server(home, {f"RAGSTONE_CACHE__{setting}": value}) as server:
        begin(server)
        run = run_with(server, reason)

    assert (run["state"], run["warmed"]) == ("done", 3)


def test_what_cannot_be_asked_any_more_is_told(home: Path) -> None:
    """A question of a removed collection counts as failed, and the run goes on."""
    with running_server(home) as server:
        fill(server)
        server.client.post("/v1/documents", json={"text": "A tent.", "collection": "camp"})
        server.client.post("/v1/search", json={"query": "A tent?", "collections": ["camp"]})
        wait_until(lambda: len(popular(server)) == 4 or None, LIMIT_S)
        server.client.delete("/v1/collections/camp")

        last = server.client.post("/v1/cache/warm", json={"wait": True}).json()["last"]

    assert (last["state"], last["warmed"], last["failed"]) == ("done", 3, 1)
