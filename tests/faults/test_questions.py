"""Questions counted by several servers, killed servers, and what an erasure leaves on the disk."""

from __future__ import annotations

import random
from pathlib import Path
from uuid import uuid4

import pytest

from tests.requirements import verifies
from tests.support.process import Server, run_command, running_server, start_server
from tests.support.waiting import wait_until

LIMIT_S = 60.0


def counts(server: Server) -> dict[str, int]:
    """Every tracked question with its count."""
    found = server.client.get("/v1/queries/popular", params={"limit": "100"}).json()["queries"]
    return {one["query"]: one["count"] for one in found}


def ask(server: Server, question: str) -> None:
    """A search that is answered."""
    assert server.client.post("/v1/search", json={"query": question}).status_code == 200


def wait_for(server: Server, wanted: dict[str, int]) -> None:
    """Until these counts are stored."""
    wait_until(lambda: True if counts(server) == wanted else None, LIMIT_S)


def files_with(home: Path, *words: bytes) -> list[str]:
    """Files of a home in which one of the words stands."""
    found = []
    for path in sorted(home.rglob("*")):
        if path.is_file() and any(word in path.read_bytes() for word in words):
            found.append(path.name)
    return found


@verifies("CAC-13")
def test_two_servers_and_commands_count_together(home: Path) -> None:
    """Two servers on one home count the same questions: the sum is there, in both, whoever is asked."""
    with running_server(home) as one, running_server(home) as other:
        for turn in range(12):
            ask((one, other)[turn % 2], "Who keeps the key?")
        ask(other, "Who has the lamp?")

        wanted = {"Who keeps the key?": 12, "Who has the lamp?": 1}
        wait_for(one, wanted)
        wait_for(other, wanted)
    run_command("search", "Who keeps the key?", home=home)
    listed = run_command("queries", "popular", "--json", home=home).json["queries"]

    assert isinstance(listed, list)
    assert [(one["query"], one["count"]) for one in listed] == [
        ("Who keeps the key?", 13),
        ("Who has the lamp?", 1),
    ]


@verifies("CAC-13")
def test_a_killed_server_loses_at_most_what_waited(home: Path) -> None:
    """What was stored before kill -9 is there afterwards; a clean end stores what waits."""
    server = start_server(home)
    ask(server, "Before the kill?")
    wait_for(server, {"Before the kill?": 1})
    for _ in range(3):
        ask(server, "Just before?")
    server.kill()
    with running_server(home) as server:
        left = counts(server)
        ask(server, "At the end?")

    assert {"Before the kill?": 1}.items() <= left.items() and left.get("Just before?", 0) <= 3
    with running_server(home) as server:
        assert counts(server) == left | {"At the end?": 1}


@pytest.mark.parametrize("way", ["one", "all"])
@verifies("CAC-13")
def test_an_erased_question_is_in_no_file_any_more(home: Path, way: str) -> None:
    """Out of the rows, the buffers of both servers and the bytes of the home, its log included."""
    secret, word = f"Is patient {uuid4().hex} contagious?", uuid4().hex
    with running_server(home) as one, running_server(home) as other:
        choose = random.Random(3)
        for n in range(60):
            ask(one, f"What costs treatment {choose.randrange(10**9)} of {word}, in detail {n}?")
        ask(one, secret)
        ask(other, secret)
        wait_until(lambda: True if sum(counts(one).values()) == 62 else None, LIMIT_S)
        assert "ragstone.db" in " ".join(files_with(home, secret.encode())), "it is seen where it stands"
        ask(other, secret)
        erased = one.client.delete("/v1/queries", params={"q": secret} if way == "one" else {}).json()
        traces = (secret.encode(), secret.casefold().encode()) + ((word.encode(),) if way == "all" else ())

        assert (erased["erased"], erased["is_log_empty"]) == (1 if way == "one" else 61, True)
        assert 0 <= erased["logged"] <= 63, "what waited in a buffer never became a row"
        ask(other, "Something else?")
        wait_until(lambda: True if "Something else?" in counts(one) else None, LIMIT_S)
        assert secret not in counts(one)
        assert files_with(home, *traces) == []
        assert word in "".join(counts(one)) or way == "all"
    assert files_with(home, *traces) == []
    assert files_with(home.parent, secret.encode()) == [], "not in the logs, either"
