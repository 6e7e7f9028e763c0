"""Half a minute of mixed requests leaves a server as it was: memory, threads, files, connections."""

from __future__ import annotations

import random
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from ragstone.evaluate.machine import process_tree, resident_bytes
from ragstone.evaluate.made_up import MadeUp
from tests.support.process import Server, running_server

CLIENTS = 4
WARM_UP_S, BETWEEN_S, LOOK_S = 12.0, 14.0, 1.0
LOOKS = 3
KEPT_AT_ONCE = 10
LARGEST_GROWTH_BYTES = 32 * 2**20
LARGEST_GROWTH = 5
"""Threads or files; pools fill up to what was busy at once."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a server takes."""

    memory: int
    threads: int
    files: int


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server with some documents, whose caches are soon full."""
    small = ("QUERY_EMBEDDING", "RETRIEVAL", "ANSWER", "GENERATION")
    environ = {f"RAGSTONE_CACHE__{name}_MAX_BYTES": str(2**20) for name in small}
    with running_server(tmp_path / "home", environ) as server:
        for document in MadeUp(seed=5).documents(30):
            server.client.post("/v1/documents", json={"text": document.text}).raise_for_status()
        yield server


def test_mixed_requests_leave_a_server_as_it_was(server: Server) -> None:
    """Searches, answers, repeats, new and removed documents: what they took is given back.

    The allocator gives pages back when it likes, so what the server comes back to is the least of several
    looks, and it is compared with the largest of those before.
    """
    live(server, WARM_UP_S)
    before = [look_after(server) for _ in range(LOOKS)]
    done = live(server, BETWEEN_S)
    after = [look_after(server) for _ in range(LOOKS)]

    assert set(done) == {("search", 200), ("ask", 200), ("add", 201), ("remove", 200)}
    assert min(look.memory for look in after) - max(look.memory for look in before) < LARGEST_GROWTH_BYTES
    assert min(look.threads for look in after) - max(look.threads for look in before) < LARGEST_GROWTH
    assert min(look.files for look in after) - max(look.files for look in before) < LARGEST_GROWTH


def look_after(server: Server) -> Look:
    """After some more requests."""
    live(server, LOOK_S)
    process = psutil.Process(server.process.pid)
    return Look(resident_bytes(process_tree(server.process.pid)), process.num_threads(), process.num_fds())


def live(server: Server, seconds: float) -> Counter[tuple[str, int]]:
    """What several clients at once do in that time, by action and status."""
    until = time.monotonic() + seconds
    with ThreadPoolExecutor(CLIENTS) as pool:
        parts = pool.map(lambda seed: one_client(server, until, seed), range(CLIENTS))
        return sum(parts, Counter[tuple[str, int]]())


def one_client(server: Server, until: float, seed: int) -> Counter[tuple[str, int]]:
    """A mixture: half of the questions were asked before."""
    choose, source = random.Random(seed), MadeUp(seed=seed)
    questions, texts = source.questions(500), [document.text for document in source.documents(50)]
    added: list[str] = []
    done: Counter[tuple[str, int]] = Counter()
    while time.monotonic() < until:
        question = choose.choice(questions[:20] if choose.random() < 0.5 else questions)
        what = choose.choices(("search", "ask", "add"), (6, 3, 1))[0]
        if what == "search":
            response = server.client.post("/v1/search", json={"query": question})
        elif what == "ask":
            response = server.client.post("/v1/ask", json={"question": question})
        else:
            response = server.client.post(
                "/v1/documents", json={"text": f"{choose.choice(texts)} {uuid.uuid4()}"}
            )
            added.append(response.json()["id"])
        done[what, response.status_code] += 1
        if len(added) > KEPT_AT_ONCE:
            done["remove", server.client.delete(f"/v1/documents/{added.pop(0)}").status_code] += 1
    for document_id in added:
        done["remove", server.client.delete(f"/v1/documents/{document_id}").status_code] += 1
    return done
