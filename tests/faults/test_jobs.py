"""An upload that was accepted ends, whatever happens to the server that accepted it."""

from __future__ import annotations

from pathlib import Path

import httpx2

from tests.support.process import Server, running_server, start_server
from tests.support.waiting import wait_until

LIMIT_S = 120.0

Job = dict[str, object]


def test_an_accepted_upload_survives_kill_9(tmp_path: Path, data_folder: Path) -> None:
    """Killed right after its 202, the server's upload is finished by the next one, under the promised id;
    afterwards no original is left over.
    """
    home = tmp_path / "home"
    content = (data_folder / "files/pdf/unstructured-layout-parser-paper-with-table.pdf").read_bytes()
    first = start_server(home)
    accepted = _upload(first, content)
    first.kill()

    with running_server(home) as second:
        job = wait_until(lambda: _ended(second.client, str(accepted["job_id"])), LIMIT_S)

        assert (job["state"], job["document_id"]) == ("ready", accepted["document_id"])
        found = second.client.post("/v1/search", json={"query": "layout parser"}).json()["hits"]
        assert found[0]["document_id"] == accepted["document_id"]
    assert len([path for path in (home / "blobs").rglob("*") if path.is_file()]) == 1


def test_a_hopeless_upload_ends_as_failed(tmp_path: Path, data_folder: Path) -> None:
    """A file that cannot be read ends its job with the reason and leaves no original behind."""
    home = tmp_path / "home"
    content = (data_folder / "hostile/pypdf-sample-files-libreoffice-writer-password.pdf").read_bytes()
    with running_server(home) as server:
        accepted = _upload(server, content)

        job = wait_until(lambda: _ended(server.client, str(accepted["job_id"])), LIMIT_S)
        originals = wait_until(lambda: _empty(home / "blobs"), LIMIT_S)

    assert job["state"] == "failed"
    error = job["error"]
    assert isinstance(error, dict)
    assert error["code"] == "encrypted_document"
    assert originals == []


def _upload(server: Server, content: bytes) -> Job:
    response = server.client.post(
        "/v1/documents", files={"file": ("paper.pdf", content)}, data={"wait_s": "0"}
    )
    assert response.status_code == 202, response.text
    accepted: Job = response.json()
    return accepted


def _ended(client: httpx2.Client, job_id: str) -> Job | None:
    job: Job = client.get(f"/v1/jobs/{job_id}").json()
    return None if job["state"] in ("queued", "running") else job


def _empty(folder: Path) -> list[Path] | None:
    found = [path for path in folder.rglob("*") if path.is_file()]
    return None if found else found
