"""The log under kills, ends, a database that is away, erasures and several processes."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from uuid import uuid4

from ragstone import Ragstone
from tests.faults.test_questions import ask, files_with
from tests.requirements import verifies
from tests.support.process import Server, running_server, start_server
from tests.support.waiting import wait_until

LIMIT_S = 60.0


def logged(server: Server) -> list[str]:
    """The questions in the log, the newest first."""
    found = server.client.get("/v1/analytics/requests", params={"limit": "1000"}).json()["requests"]
    return [row["question"] for row in found]


def metric(server: Server, name: str) -> float:
    """The value of a series."""
    for line in server.client.get("/metrics").text.splitlines():
        if line.startswith(f"{name} "):
            return float(line.rpartition(" ")[2])
    return 0.0


@verifies("ANA-01")
def test_a_kill_loses_at_most_what_waited_and_an_end_nothing(home: Path) -> None:
    """What was stored before kill -9 is there; SIGTERM stores what waits."""
    server = start_server(home)
    ask(server, "Before the kill?")
    wait_until(lambda: logged(server) or None, LIMIT_S)
    ask(server, "Just before?")
    server.kill()
    with running_server(home) as server:
        left = logged(server)
        for number in range(60):
            ask(server, f"At the end, {number}?")

    assert left in (["Before the kill?"], ["Just before?", "Before the kill?"])
    with running_server(home) as server:
        assert sorted(logged(server)) == sorted([*left, *(f"At the end, {number}?" for number in range(60))])


@verifies("ANA-01")
def test_two_servers_and_the_library_write_one_log(home: Path) -> None:
    """Every request of every process is there once, with the door it came through."""
    with running_server(home) as one, running_server(home) as other:
        for turn in range(40):
            ask((one, other)[turn % 2], f"Question {turn}?")
        with Ragstone(home) as library:
            library.search("By the library?")
        wait_until(lambda: True if len(logged(one)) == 41 else None, LIMIT_S)
        doors = one.client.get("/v1/analytics/statistics").json()["by_door"]

        assert sorted(logged(other)) == sorted(logged(one))
    assert {group["value"]: group["asked"] for group in doors} == {"http": 40, "python": 1}


@verifies("ANA-01")
def test_requests_go_on_while_the_log_is_away(home: Path) -> None:
    """Another process holds its write turn: requests are answered, wait to be stored, and then are."""
    with running_server(home) as server:
        ask(server, "Before?")
        wait_until(lambda: logged(server) or None, LIMIT_S)
        locked = sqlite3.connect(home / "log.db", isolation_level=None)
        locked.execute("BEGIN IMMEDIATE")
        for number in range(30):
            ask(server, f"Meanwhile, {number}?")
        waiting = wait_until(lambda: metric(server, "ragstone_log_waiting_rows") or None, LIMIT_S)
        locked.execute("ROLLBACK")
        locked.close()

        assert waiting > 0
        wait_until(lambda: True if len(logged(server)) == 31 else None, LIMIT_S)
        stored = 'ragstone_log_rows_total{outcome="stored",table="query_logs"}'
        wait_until(
            lambda: True if metric(server, stored) == 31 else None, LIMIT_S
        )  # counted after the commit


def test_a_damaged_log_stops_no_answer(home: Path) -> None:
    """The server starts and answers; only what asks for the log fails, with the file and what to do."""
    with running_server(home):
        pass
    for path in home.glob("log.db*"):
        path.unlink()
    (home / "log.db").write_bytes(b"no database at all" * 100)
    with running_server(home) as server:
        ask(server, "Anyone there?")
        refused = server.client.get("/v1/analytics/statistics")

    assert (refused.status_code, refused.json()["code"]) == (503, "store_failed")
    assert str(home / "log.db") in refused.json()["detail"]


@verifies("ANA-06")
def test_what_a_user_asked_is_erased_in_every_process(home: Path) -> None:
    """Rows, accesses and the questions that nobody else asked leave no byte; common questions stay."""
    secret, common = f"Is patient {uuid4().hex} contagious?", "When do you open?"
    named = {"RAGSTONE_ANALYTICS__USER_HEADER": "X-Forwarded-User"}
    ann, bob = {"x-forwarded-user": "ann"}, {"x-forwarded-user": "bob"}
    with running_server(home, named) as one, running_server(home, named) as other:
        for server, question, user in (
            (one, secret, ann),
            (other, secret, ann),
            (one, common, ann),
            (other, common, bob),
        ):
            server.client.post("/v1/search", json={"query": question}, headers=user)
        wait_until(lambda: True if len(logged(one)) == 4 else None, LIMIT_S)
        wait_until(lambda: popular(one).get(common) == 2 or None, LIMIT_S)
        other.client.post("/v1/search", json={"query": secret}, headers=ann)
        erased = one.client.delete("/v1/queries", params={"user": "ann"}).json()
        ask(other, "Something else?")
        wait_until(lambda: True if "Something else?" in logged(one) else None, LIMIT_S)

        assert erased["logged"] in (3, 4) and erased["is_log_empty"]
        assert sorted(logged(one)) == ["Something else?", common]
        assert secret not in popular(one) and common in popular(one)
        assert files_with(home, secret.encode()) == []
    assert files_with(home, secret.encode(), secret.casefold().encode()) == []


def popular(server: Server) -> dict[str, int]:
    """Tracked questions with their counts."""
    found = server.client.get("/v1/queries/popular", params={"limit": "100"}).json()["queries"]
    return {one["query"]: one["count"] for one in found}


@verifies("ANA-08")
def test_a_server_notes_how_it_is_doing(home: Path) -> None:
    """A row every so often: processor, memory, connections, documents, chunks, questions a minute."""
    with running_server(home, {"RAGSTONE_ANALYTICS__METRICS_EVERY_S": "0.5"}) as server:
        server.client.post("/v1/documents", json={"text": "The mill grinds at dawn."})
        ask(server, "When does the mill grind?")

        def row() -> dict[str, object] | None:
            found = server.client.get("/v1/analytics/system", params={"limit": "1000"}).json()["system"]
            return next((one for one in found if one["documents"] and one["mean_query_ms"]), None)

        found = wait_until(row, LIMIT_S)

    assert (found["documents"], found["chunks"]) == (1, 1)
    assert isinstance(found["memory_bytes"], int) and found["memory_bytes"] > 10_000_000
    assert isinstance(found["connections"], int) and found["connections"] >= 1
    assert isinstance(found["queries_per_minute"], float) and found["queries_per_minute"] > 0
    assert isinstance(found["cpu_percent"], float)


def test_only_hashes_are_kept_where_that_is_wanted(home: Path) -> None:
    """`analytics.store_text = false`: the log has no question in it; with tracking off, no file has."""
    secret = f"Who is {uuid4().hex}?"
    environ = {"RAGSTONE_ANALYTICS__STORE_TEXT": "false", "RAGSTONE_CACHE__TRACKED_QUERIES": "0"}
    with running_server(home, environ) as server:
        server.client.post("/v1/search", json={"query": secret, "cache": False})
        wait_until(lambda: logged(server) or None, LIMIT_S)

        assert logged(server) == [None]
        (one,) = server.client.get("/v1/analytics/questions").json()["questions"]
        assert one["question"] is None and len(one["question_hash"]) == 32
    assert files_with(home, secret.encode()) == []
