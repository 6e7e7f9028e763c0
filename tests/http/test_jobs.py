"""Jobs over HTTP: looked at, followed, cancelled, tried again, and refused when the queue is full."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import httpx2
import pytest

from tests.faults.test_kill import parsers_of
from tests.requirements import verifies
from tests.support.process import START_LIMIT_S, Server, running_server
from tests.support.waiting import wait_until

Wire = dict[str, object]

QUEUE_MAX = 4
STOP_LIMIT_S = 60.0
NO_WORKERS = {"RAGSTONE_INGEST__WORKERS": "0", "RAGSTONE_INGEST__QUEUE_MAX": str(QUEUE_MAX)}
UNKNOWN = "01a1fc21-03ee-7aca-8c1d-04d5c9661b60"


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[Server]:
    """A server that queues and works on nothing."""
    with running_server(tmp_path / "home", NO_WORKERS) as server:
        yield server


@verifies("ING-17")
def test_a_job_tells_how_it_is_doing_until_it_is_ready(
    client: httpx2.Client, collection: str, data_folder: Path
) -> None:
    """An upload answered with 202 is followed to its end: stages in order, then the result."""
    content = (data_folder / "files/pdf/unstructured-layout-parser-paper-with-table.pdf").read_bytes()
    accepted = upload(client, "paper.pdf", content, collection=collection)

    events = follow(client, str(accepted["job_id"]))

    last = events[-1]
    assert [event["event"] for event in events[:-1]] == ["progress"] * (len(events) - 1)
    assert (last["event"], last["state"], last["error"]) == ("finished", "ready", None)
    assert [event["seq"] for event in events] == list(range(len(events)))
    order = ["parse", "chunk", "embed", "write"]
    stages = [order.index(str(event["stage"])) for event in events]
    assert stages == sorted(stages)
    result = cast("Wire", last["result"])
    document = client.get(f"/v1/documents/{last['document_id']}").json()
    assert (result["status"], result["chunk_count"]) == ("added", document["chunk_count"])
    again = client.get(f"/v1/jobs/{accepted['job_id']}").json()
    assert str(last["document_id"]) in again.pop("explanation")
    assert {**last, **again} == last


@verifies("ING-17")
def test_jobs_are_listed_newest_first_by_state_and_collection(idle: Server) -> None:
    """In pages; a wrong state or cursor is refused by name."""
    client = idle.client
    ids = [
        str(upload(client, f"{n}.md", b"Herons wait.", collection=f"c{n % 2}")["job_id"]) for n in range(3)
    ]
    client.post(f"/v1/jobs/{ids[0]}/cancel")

    first = client.get("/v1/jobs", params={"limit": 2}).json()
    second = client.get("/v1/jobs", params={"limit": 2, "cursor": first["next_cursor"]}).json()

    assert [job["id"] for job in first["jobs"] + second["jobs"]] == ids[::-1]
    assert second["next_cursor"] is None
    assert listed(client, state="queued") == ids[:0:-1]
    assert listed(client, state="cancelled") == ids[:1]
    assert listed(client, collection="c0") == [ids[2], ids[0]]
    for wrong in ({"state": "lost"}, {"cursor": "banana"}):
        refused = client.get("/v1/jobs", params=wrong)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")


@verifies("ING-17")
def test_a_full_queue_answers_429_before_the_body_is_read(idle: Server) -> None:
    """With Retry-After; a cancelled job makes room, and the metrics show the depth and the age."""
    client = idle.client
    ids = [str(upload(client, f"{n}.md", b"Herons wait.")["job_id"]) for n in range(QUEUE_MAX)]

    full = client.post("/v1/documents", files={"file": ("last.md", b"Herons.")})

    assert (full.status_code, full.json()["code"]) == (429, "queue_full")
    assert full.json()["retryable"] is True
    assert int(full.headers["retry-after"]) > 1
    metrics = client.get("/metrics").text
    assert f'ragstone_jobs{{state="queued"}} {QUEUE_MAX}.0' in metrics
    (age,) = (line for line in metrics.splitlines() if line.startswith("ragstone_jobs_oldest_queued_seconds"))
    assert float(age.split()[1]) > 0
    assert client.post(f"/v1/jobs/{ids[0]}/cancel").status_code == 200
    upload(client, "last.md", b"Herons.")


@verifies("ING-17")
def test_cancelling_stops_the_work_at_once(tmp_path: Path, data_folder: Path) -> None:
    """A running job is cancelled when the call returns; its parser ends, its file goes, too, and
    the document never appears. A second cancel changes nothing, a retry is refused.
    """
    content = (data_folder / "files/pdf/unstructured-DA-619p.pdf").read_bytes()
    home = tmp_path / "home"
    with running_server(home) as server:
        client = server.client
        job_id = str(upload(client, "report.pdf", content)["job_id"])
        wait_until(lambda: parsers_of(server.process.pid) or None, START_LIMIT_S)

        cancelled = client.post(f"/v1/jobs/{job_id}/cancel")

        assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
        wait_until(lambda: None if parsers_of(server.process.pid) else True, STOP_LIMIT_S)
        wait_until(lambda: None if files_below(home / "blobs", home / "checkpoints") else True, STOP_LIMIT_S)
        assert client.get("/v1/documents").json()["documents"] == []
        assert client.post(f"/v1/jobs/{job_id}/cancel").json()["state"] == "cancelled"
        refused = client.post(f"/v1/jobs/{job_id}/retry")
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


def test_a_newer_upload_takes_the_place_of_one_that_waits(idle: Server) -> None:
    """Of two uploads of one source the later one counts: the earlier one is cancelled and says why."""
    client = idle.client
    older = str(upload(client, "news.md", b"Old news.")["job_id"])
    newer = str(upload(client, "news.md", b"New news.")["job_id"])

    job = client.get(f"/v1/jobs/{older}").json()

    assert (job["state"], job["error"]["code"]) == ("cancelled", "superseded")
    assert newer in job["explanation"]
    assert client.get(f"/v1/jobs/{newer}").json()["state"] == "queued"


def test_a_refused_file_is_explained_and_not_kept(client: httpx2.Client, collection: str) -> None:
    """The caller who waits gets the error; the job says the same, and that a retry needs the file again."""
    refused = client.post(
        "/v1/documents",
        files={"file": ("broken.pdf", b"%PDF-1.4 and no more")},
        data={"collection": collection},
    )

    (job_id,) = listed(client, collection=collection)
    job = client.get(f"/v1/jobs/{job_id}").json()
    assert (refused.status_code, refused.json()["code"]) == (422, "broken_document")
    assert (job["state"], job["stage"], job["retryable"]) == ("failed", "parse", False)
    assert job["error"]["message"] == refused.json()["detail"]
    assert "add it again" in job["explanation"]
    assert client.post(f"/v1/jobs/{job_id}/retry").status_code == 409


@pytest.mark.parametrize("way", ["cancel", "retry"])
def test_unknown_jobs_are_named(client: httpx2.Client, way: str) -> None:
    """By every route."""
    for response in (
        client.post(f"/v1/jobs/{UNKNOWN}/{way}"),
        client.get(f"/v1/jobs/{UNKNOWN}/events"),
    ):
        assert (response.status_code, response.json()["code"]) == (404, "job_not_found")
        assert UNKNOWN in response.json()["detail"]


def upload(client: httpx2.Client, name: str, content: bytes, *, collection: str = "default") -> Wire:
    """What an upload that nobody waits for is answered with."""
    form = {"wait_s": "0", "collection": collection}
    response = client.post("/v1/documents", files={"file": (name, content)}, data=form)
    assert response.status_code == 202, response.text
    accepted: Wire = response.json()
    return accepted


def follow(client: httpx2.Client, job_id: str) -> list[Wire]:
    """Every event of a job."""
    events: list[Wire] = []
    with client.stream("GET", f"/v1/jobs/{job_id}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        events += [
            json.loads(line.removeprefix("data: "))
            for line in response.iter_lines()
            if line.startswith("data: ")
        ]
    return events


def listed(client: httpx2.Client, **filters: str) -> list[str]:
    """The ids of jobs."""
    return [job["id"] for job in client.get("/v1/jobs", params=filters).json()["jobs"]]


def files_below(*folders: Path) -> list[Path]:
    """Every file under the folders."""
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]
