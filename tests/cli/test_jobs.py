"""`ragstone jobs` and `ragstone worker`, with a server and without one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from ragstone import Ragstone
from ragstone.errors import Conflict
from tests.requirements import verifies
from tests.support.process import COMMAND_LIMIT_S, Server, run_command, running_server
from tests.support.watched import WatchedProcess

NO_WORKERS = {"RAGSTONE_INGEST__WORKERS": "0"}
UNKNOWN = "01a1fc21-03ee-7aca-8c1d-04d5c9661b60"


@pytest.fixture
def idle(home: Path) -> Iterator[Server]:
    """A server that queues and works on nothing."""
    with running_server(home, NO_WORKERS) as server:
        yield server


@verifies("ING-17")
def test_a_worker_empties_the_queue(idle: Server, home: Path) -> None:
    """Jobs are listed, cancelled, worked on by `ragstone worker --until-empty`, shown and explained."""
    good, broken, unwanted = (
        upload(idle, "good.md", b"Herons wait."),
        upload(idle, "broken.pdf", b"%PDF-1.4 and no more"),
        upload(idle, "unwanted.md", b"Geese."),
    )
    assert "unwanted.md" in run_command("jobs", "list", home=home).stdout
    assert run_command("jobs", "cancel", unwanted, home=home).exit_code == 0

    worked = run_command("worker", "--until-empty", "-n", "2", home=home)

    assert worked.exit_code == 0, worked.stderr
    assert "2 jobs at once" in worked.stderr
    listed = cast("list[dict[str, Any]]", run_command("jobs", "list", "--json", home=home).json["jobs"])
    assert {job["id"]: job["state"] for job in listed} == {
        good: "ready",
        broken: "failed",
        unwanted: "cancelled",
    }
    failed = run_command("jobs", "list", "-s", "failed", "--json", home=home).json["jobs"]
    assert [job["id"] for job in cast("list[dict[str, Any]]", failed)] == [broken]
    shown = run_command("jobs", "show", broken, "--json", home=home).json
    explained = run_command("jobs", "explain", broken, home=home).stdout
    assert explained.strip() == shown["explanation"]
    assert "'parse'" in explained and "broken_document" in explained
    assert "broken.pdf" in run_command("jobs", "show", broken, home=home).stdout
    refused = run_command("jobs", "retry", broken, home=home)
    assert (refused.exit_code, "not kept" in refused.stderr) == (1, True)
    found = idle.client.post("/v1/search", json={"query": "herons"}).json()["hits"]
    assert [hit["text"] for hit in found] == ["Herons wait."]


@verifies("ING-17")
def test_without_a_server_the_home_is_asked(home: Path) -> None:
    """Queued jobs outlive their server: the command and the library see, cancel and finish them."""
    with running_server(home, NO_WORKERS) as server:
        kept, unwanted = upload(server, "kept.md", b"Herons wait."), upload(server, "b.md", b"Geese.")

    cancelled = run_command("jobs", "cancel", unwanted, "--json", home=home)
    assert run_command("worker", "--until-empty", home=home).exit_code == 0
    again = run_command("jobs", "cancel", kept, home=home)

    assert cancelled.json["state"] == "cancelled"
    assert (again.exit_code, "[conflict]" in again.stderr) == (1, True)
    with Ragstone(home) as rag:
        assert [job.id for job in rag.jobs("ready")] == [kept]
        assert rag.job(unwanted).state == "cancelled"
        assert rag.cancel_job(unwanted).state == "cancelled"
        with pytest.raises(Conflict):
            rag.retry_job(kept)


def test_what_is_not_there_is_named(home: Path) -> None:
    """An unknown id exits with 3, an unknown state with 2; no job is no error."""
    unknown = run_command("jobs", "explain", UNKNOWN, home=home)
    wrong = run_command("jobs", "list", "--state", "lost", home=home)
    none = run_command("jobs", "list", home=home)

    assert (unknown.exit_code, UNKNOWN in unknown.stderr) == (3, True)
    assert (wrong.exit_code, "'lost'" in wrong.stderr) == (2, True)
    assert (none.exit_code, "No jobs" in none.stdout) == (0, True)


def test_a_worker_runs_until_it_is_told_to_stop(idle: Server, home: Path) -> None:
    """Work that comes later is taken up; SIGTERM ends it with 0."""
    process = WatchedProcess("worker", home=home)
    process.wait_for("jobs at once")

    done = idle.client.post("/v1/documents", files={"file": ("late.md", b"Late herons.")})

    assert (done.status_code, done.json()["status"]) == (201, "added")
    assert process.end() == 0


def upload(server: Server, name: str, content: bytes) -> str:
    """The id of the job of an upload that nobody waits for."""
    response = server.client.post(
        "/v1/documents", files={"file": (name, content)}, data={"wait_s": "0"}, timeout=COMMAND_LIMIT_S
    )
    assert response.status_code == 202, response.text
    return str(response.json()["job_id"])
