"""What fails beside requests is in the log of errors: jobs, syncs, warming; of every process, no words."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2

from tests.requirements import verifies
from tests.support.process import run_command, running_server
from tests.support.waiting import wait_until

Wire = dict[str, Any]
LIMIT_S, SOME_ROUNDS_S = 60.0, 3.0
WORD = "axolotl"
BROKEN = f"%PDF-1.4 {WORD}".encode()


def errors_of(client: httpx2.Client, service: str) -> list[Wire]:
    """The errors of a service, the newest first, as soon as there are any."""

    def look() -> list[Wire] | None:
        found: list[Wire] = client.get("/v1/analytics/errors", params={"service": service}).json()["newest"]
        return found or None

    return wait_until(look, LIMIT_S)


@verifies("ANA-01")
def test_a_job_that_fails_is_an_error_of_the_worker(home: Path) -> None:
    """Once, though somebody waited for it: stage, severity and place; not the name of the file."""
    with running_server(home) as server:
        form = {"file": (f"{WORD}.pdf", BROKEN)}
        refused = server.client.post("/v1/documents", files=form, data={"wait_s": "60"})
        (found,) = errors_of(server.client, "worker")
        everything = server.client.get("/v1/analytics/errors").json()

    assert refused.status_code >= 400 or WORD in refused.text
    assert (found["type"], found["code"]) == ("BrokenDocument", "broken_document")
    assert (found["severity"], found["operation"]) == ("warning", "parse")
    assert "ragstone/ingest/" in found["stack"]
    assert [group["count"] for group in everything["groups"]] == [1]
    assert WORD not in json.dumps(everything)


@verifies("ANA-01")
def test_the_failures_of_a_worker_process_are_told(home: Path) -> None:
    """A job that `ragstone worker` gave up, read by `ragstone analytics errors` of another process."""
    with running_server(home, {"RAGSTONE_INGEST__WORKERS": "0"}) as server:
        form = {"file": (f"{WORD}.pdf", BROKEN)}
        server.client.post("/v1/documents", files=form, data={"wait_s": "0"}).raise_for_status()
        worked = run_command("worker", "--until-empty", home=home)
        told = run_command("analytics", "errors", "--service", "worker", "--json", home=home)

    assert (worked.exit_code, told.exit_code) == (0, 0)
    (found,) = json.loads(told.stdout)["newest"]
    assert found["type"] == "BrokenDocument"
    assert WORD not in told.stdout


@verifies("ANA-01")
def test_a_sync_that_fails_is_an_error_of_the_sync(home: Path, tmp_path: Path) -> None:
    """The whole of it by the kind of its source; an item that a worker noted is not told again."""
    root = tmp_path / WORD
    (root / "there").mkdir(parents=True)
    (root / "there" / f"{WORD}.pdf").write_bytes(BROKEN)
    home.mkdir()
    entries = [f'[{name}-{WORD}]\nkind = "folder"\npath = "{root / name}"\n' for name in ("there", "gone")]
    (home / "sources.toml").write_text("\n".join(entries))
    with running_server(home, {"RAGSTONE_INGEST__ALLOWED_ROOTS": str(root)}) as server:
        runs = [
            server.client.post(f"/v1/sources/{name}-{WORD}/sync", json={"wait_s": 60}).json()
            for name in ("there", "gone")
        ]
        (whole,) = errors_of(server.client, "sync")
        (item,) = errors_of(server.client, "worker")

    assert [run["state"] for run in runs] == ["done", "failed"]
    assert (whole["operation"], whole["severity"], whole["code"]) == ("folder", "warning", "path_not_found")
    assert item["code"] == "broken_document"
    assert WORD not in json.dumps([whole, item])


@verifies("ANA-01")
def test_an_item_that_no_worker_took_is_an_error_of_the_sync(home: Path, tmp_path: Path) -> None:
    """As in a command that syncs without a server."""
    folder = tmp_path / WORD
    folder.mkdir()
    (folder / f"{WORD}.pdf").write_bytes(BROKEN)
    home.mkdir()
    (home / "sources.toml").write_text(f'[s]\nkind = "folder"\npath = "{folder}"\n')
    allowed = {"RAGSTONE_INGEST__ALLOWED_ROOTS": str(tmp_path)}
    run_command("sources", "sync", "s", home=home, environ=allowed)
    told = run_command("analytics", "errors", "--service", "sync", "--json", home=home)

    (found,) = json.loads(told.stdout)["newest"]
    assert (found["code"], found["operation"]) == ("broken_document", "item")
    assert WORD not in told.stdout


@verifies("ANA-01", "CAC-14")
def test_a_question_that_is_not_warmed_is_an_error_of_warming(home: Path) -> None:
    """Its collection has gone; neither its words nor the collection's are told."""
    with running_server(home) as server:
        body = {"text": "The lamp is lit.", "collection": WORD}
        server.client.post("/v1/documents", json=body).raise_for_status()
        server.client.post("/v1/search", json={"query": f"{WORD}?", "collections": [WORD]})
        wait_until(lambda: server.client.get("/v1/queries/popular").json()["queries"] or None, LIMIT_S)
        server.client.delete(f"/v1/collections/{WORD}").raise_for_status()
        last = server.client.post("/v1/cache/warm", json={"wait": True}).json()["last"]
        (found,) = errors_of(server.client, "warming")

    assert (last["failed"], last["state"]) == (1, "done")
    assert (found["code"], found["operation"]) == ("collection_not_found", "search")
    assert WORD not in json.dumps(found)


@verifies("ANA-01", "OBS-04")
def test_a_worker_that_cannot_look_for_jobs_says_so_once_and_when_it_can_again(home: Path) -> None:
    """The table of the jobs is away for a while: an error for each loop that failed, not for each round."""
    with running_server(home) as server:
        with closing(sqlite3.connect(home / "ragstone.db", LIMIT_S, isolation_level=None)) as other:
            other.execute("ALTER TABLE jobs RENAME TO jobs_away")
            errors_of(server.client, "worker")
            time.sleep(SOME_ROUNDS_S)
            found = errors_of(server.client, "worker")
            other.execute("ALTER TABLE jobs_away RENAME TO jobs")
        form = {"file": ("heron.md", b"The heron waits.")}
        added = server.client.post("/v1/documents", files=form, data={"wait_s": "60"})
        log = home.parent / f"{home.name}-server.log"
        wait_until(lambda: "rounds_go_well_again" in log.read_text() or None, LIMIT_S)

    operations = [one["operation"] for one in found]
    assert "claim" in operations
    assert len(operations) == len(set(operations))
    assert {one["code"] for one in found} == {"store_failed"}
    assert added.status_code == 201
