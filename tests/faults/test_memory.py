"""A server that has worked on many jobs is no larger than one that has worked on some."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ragstone.evaluate.machine import process_tree, resident_bytes
from tests.faults.stateful.server import ServerProcess, start_server
from tests.requirements import verifies
from tests.support.waiting import wait_until

FILES = 20
ROUNDS_TO_WARM_UP, ROUNDS_BEFORE, ROUNDS_BETWEEN, ROUNDS_AFTER = 2, 3, 3, 6
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
    """Round after round is taken in and removed: what a job took is given back.

    The allocator gives pages back when it likes, so one reading moves by tens of megabytes either way: what
    the server comes back to is the least of several.
    """
    for _ in range(ROUNDS_TO_WARM_UP):
        upload_round(server)
    before = max(size_after_round(server) for _ in range(ROUNDS_BEFORE))
    for _ in range(ROUNDS_BETWEEN):
        upload_round(server)
    after = min(size_after_round(server) for _ in range(ROUNDS_AFTER))

    assert after - before < LARGEST_GROWTH_BYTES


def size_after_round(server: ServerProcess) -> int:
    """Resident bytes of the server and its children after one more round."""
    upload_round(server)
    return resident_bytes(process_tree(server.process.pid or 0))


def upload_round(server: ServerProcess) -> None:
    """Files into a collection of this round, which is removed when all of them are stored."""
    name = f"round-{uuid.uuid4().hex}"
    files = [
        ("file", (f"{at}.md", f"# Round {name}\n\n{PARAGRAPH}\n\nFile {at}.".encode(), "text/markdown"))
        for at in range(FILES)
    ]
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
