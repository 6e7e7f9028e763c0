"""A server that has worked on many jobs is no larger than one that has worked on some."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ragstone.evaluate.machine import process_tree, resident_bytes
from tests.faults.stateful.server import ServerProcess, start_server
from tests.requirements import verifies
from tests.support.waiting import wait_until

FILES = 20
ROUNDS_TO_WARM_UP, ROUNDS = 3, 11
LARGEST_GROWTH_BYTES = 24 * 2**20
LIMIT_S = 120.0
PARAGRAPH = "The heron waits by the river, and the fox waits for the heron. " * 40


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that works on its jobs itself."""
    server = start_server(tmp_path / "home")
    try:
        yield server
    finally:
        server.stop()


@verifies("ING-17")
def test_many_jobs_leave_the_server_at_its_size(server: ServerProcess) -> None:
    """Round after round is taken in and removed: what a job took is given back."""
    for number in range(ROUNDS_TO_WARM_UP):
        upload_round(server, number)
    before = resident_bytes(process_tree(server.process.pid or 0))

    for number in range(ROUNDS_TO_WARM_UP, ROUNDS):
        upload_round(server, number)

    assert resident_bytes(process_tree(server.process.pid or 0)) - before < LARGEST_GROWTH_BYTES


def upload_round(server: ServerProcess, number: int) -> None:
    """Files into a collection of this round, which is removed when all of them are stored."""
    files = [
        ("file", (f"{at}.md", f"# Round {number}\n\n{PARAGRAPH}\n\nFile {at}.".encode(), "text/markdown"))
        for at in range(FILES)
    ]
    name = f"round-{number}"
    form = {"collection": name, "wait_s": "0"}
    accepted = server.client.post("/v1/documents", files=files, data=form).raise_for_status().json()
    assert len(accepted["results"]) == FILES
    wait_until(lambda: _is_stored(server, name), LIMIT_S)
    removed = server.client.delete(f"/v1/collections/{name}").raise_for_status().json()
    assert removed["receipt"]["document_count"] == FILES


def _is_stored(server: ServerProcess, collection: str) -> bool | None:
    query = {"collection": collection, "state": "ready", "limit": "200"}
    jobs = server.client.get("/v1/jobs", params=query).raise_for_status().json()["jobs"]
    return len(jobs) == FILES or None
