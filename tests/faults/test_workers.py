"""Workers die in every stage, in number and among poison: each job ends, each document is there once."""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.ledger import COLLECTION, Ledger, Text, open_ledger
from tests.requirements import verifies
from tests.support.process import run_command
from tests.support.waiting import wait_until
from tests.support.watched import Condition, WatchedProcess, stage_of

IS_LONG = os.environ.get("RAGSTONE_PROFILE") == "nightly"
TEXTS = 1_000 if IS_LONG else 140
POISON = 20 if IS_LONG else 8
MOST_TRIES = 4
KILLS = 40 if IS_LONG else 8
LIMIT_S = 1_800.0 if IS_LONG else 240.0
MEMORY_GROWTH_BYTES = 80 * 2**20
STAGES = ("parse", "chunk", "embed", "write")
SETTINGS = {
    "RAGSTONE_INGEST__WORKERS": "0",
    "RAGSTONE_INGEST__LEASE_S": "3",
    "RAGSTONE_INGEST__RETRY_BACKOFF_S": "0.1",
    "RAGSTONE_INGEST__MAX_ATTEMPTS": "50",
}

Job = dict[str, Any]
Watch = Callable[[], Condition]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A home and a server that queues jobs and works on none."""
    with open_ledger(tmp_path / "home", SETTINGS) as ledger:
        yield ledger


@verifies("ING-17")
@pytest.mark.parametrize("moment", ["parse", "chunk", "embed", "half of embed", "write"])
def test_a_killed_worker_costs_at_most_the_stage_it_was_in(
    ledger: Ledger, data_folder: Path, moment: str
) -> None:
    """The next worker goes on from the checkpoint: every other stage was done once, and the document is
    whole. The job remembers where its first worker died.
    """
    stage = moment.split()[-1]
    for _ in range(MOST_TRIES):
        job_id = upload_for(ledger, stage, data_folder)
        first = worker(ledger)
        first.kill_at(stage, slice_kept(ledger) if moment.startswith("half") else None)
        assert first.wait() != 0
        second = worker(ledger, "--until-empty")
        assert second.wait(LIMIT_S) == 0
        if first.stages_after_kill() == []:
            break
    else:
        pytest.fail(f"no kill came inside {stage}")

    job = get(ledger, job_id)
    assert (job["state"], job["attempts"]) == ("ready", 2)
    (attempt,) = job["history"]
    assert (attempt["code"], attempt["stage"]) == ("interrupted", stage)
    # The server may have been first to find the job, and stores what it noted a moment later.
    wait_until(lambda: ("interrupted", stage) in noted_errors(ledger) or None, LIMIT_S)
    assert stage_runs([first, second])[job_id] == Counter({**dict.fromkeys(STAGES, 1), stage: 2})
    assert chunk_rows(ledger, str(job["document_id"])) == job["result"]["chunk_count"]
    ledger.assert_whole()
    assert ledger.check() == 0
    assert not list((ledger.home / "checkpoints").glob("*"))


def noted_errors(ledger: Ledger) -> list[tuple[str, str]]:
    """Code and operation of the workers' errors in the log."""
    told = run_command("analytics", "errors", "--service", "worker", "--json", home=ledger.home)
    return [(row["code"], row["operation"]) for row in json.loads(told.stdout)["newest"]]


@verifies("ING-17")
def test_a_stopped_worker_hands_its_job_back(ledger: Ledger) -> None:
    """SIGTERM ends a worker with 0; the next one goes on at once, and no failure is counted."""
    text = ledger.distinct_text(3_000)
    job_id = upload(ledger, text)
    first = worker(ledger)
    first.wait_for('"stage":"embed"')

    assert first.end() == 0

    job = get(ledger, job_id)
    assert (job["state"], job["failures"], job["stage"]) == ("queued", 0, "embed")
    (attempt,) = job["history"]
    assert attempt["code"] == "handed_back"
    assert ledger.client.post(f"/v1/jobs/{job_id}/cancel").status_code == 200


@verifies("ING-17")
def test_every_job_ends_and_every_document_is_there_once(ledger: Ledger) -> None:
    """Many small files, poison among them, two workers of which one is killed again and again: every job
    comes to an end, nothing is lost, nothing doubled, and no kill costs a job more than one stage.
    """
    before = resident_bytes(ledger)
    texts = {upload(ledger, text): text for text in (ledger.distinct_text(2) for _ in range(TEXTS))}
    poison = [upload_file(ledger, f"poison-{n}.pdf", b"%PDF-1.4 and no more") for n in range(POISON)]
    workers: list[WatchedProcess] = []
    for kill in range(0, KILLS, 2):
        victims = [worker(ledger), worker(ledger)]
        for victim, stage in zip(victims, (STAGES * KILLS)[kill : kill + 2], strict=True):
            victim.kill_at(stage)
        for victim in victims:
            assert victim.wait() != 0
        workers += victims
    survivors = [worker(ledger, "--until-empty"), worker(ledger, "--until-empty")]
    assert [survivor.wait(LIMIT_S) for survivor in survivors] == [0, 0]

    jobs = {str(job["id"]): job for job in all_jobs(ledger)}
    assert {job_id: jobs[job_id]["state"] for job_id in texts} == dict.fromkeys(texts, "ready")
    assert {jobs[job_id]["state"] for job_id in poison} == {"failed"}
    assert {jobs[job_id]["error"]["code"] for job_id in poison} == {"broken_document"}
    for job_id, text in texts.items():
        ledger.acknowledged[str(jobs[job_id]["document_id"])] = text
    assert len(ledger.acknowledged) == len(ledger.documents_by_source()) == TEXTS
    assert chunk_rows(ledger) == sum(jobs[job_id]["result"]["chunk_count"] for job_id in texts)
    assert_repeats_are_paid_for(jobs, stage_runs([*workers, *survivors]))
    assert ledger.check() == 0
    assert not list((ledger.home / "checkpoints").glob("*"))
    if IS_LONG:
        assert resident_bytes(ledger) - before < MEMORY_GROWTH_BYTES


def assert_repeats_are_paid_for(jobs: dict[str, Job], runs: dict[str, Counter[str]]) -> None:
    """A stage is done again only for an attempt that was interrupted in it."""
    for job_id, counts in runs.items():
        history = jobs[job_id]["history"]
        assert isinstance(history, list)
        interrupted = Counter(str(attempt["stage"]) for attempt in history)
        repeated = Counter({stage: count - 1 for stage, count in counts.items() if count > 1})
        assert repeated <= interrupted, (job_id, repeated, interrupted)


def upload_for(ledger: Ledger, stage: str, data_folder: Path) -> str:
    """Queue a document that stays in the stage for a while; the job's id."""
    if stage == "parse":
        content = (data_folder / "files/pdf/unstructured-layout-parser-paper-with-table.pdf").read_bytes()
        return upload_file(ledger, f"{ledger.distinct_text(0).marker}.pdf", content)
    return upload(ledger, ledger.distinct_text(300) if stage == "embed" else ledger.repeated_text(4_000))


def slice_kept(ledger: Ledger) -> Watch:
    """A condition for `kill_at`: the first slice of vectors lies in the checkpoint."""
    return lambda: lambda: bool(list((ledger.home / "checkpoints").glob("*/vectors-1")))


def worker(ledger: Ledger, *flags: str) -> WatchedProcess:
    """`ragstone worker` on the ledger's home."""
    return WatchedProcess("worker", "-n", "2", *flags, home=ledger.home, environ=SETTINGS)


def upload(ledger: Ledger, text: Text) -> str:
    """Queue a text; the job's id."""
    return upload_file(ledger, text.marker, text.body.encode())


def upload_file(ledger: Ledger, source: str, content: bytes) -> str:
    """Queue a file; the job's id."""
    form = {"collection": COLLECTION, "source": source, "wait_s": "0"}
    name = source if "." in source else f"{source}.md"
    accepted = ledger.client.post("/v1/documents", data=form, files={"file": (name, content)})
    assert accepted.status_code == 202, accepted.text
    return str(accepted.json()["job_id"])


def get(ledger: Ledger, job_id: str) -> Job:
    """One job."""
    job: Job = ledger.client.get(f"/v1/jobs/{job_id}").json()
    return job


def all_jobs(ledger: Ledger) -> list[Job]:
    """Every job, page by page."""
    found: list[Job] = []
    cursor: str | None = None
    while True:
        query = {"limit": "200"} | ({"cursor": cursor} if cursor else {})
        page = ledger.client.get("/v1/jobs", params=query).json()
        found += page["jobs"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def stage_runs(workers: list[WatchedProcess]) -> dict[str, Counter[str]]:
    """How often each stage began for each job, by the workers' logs."""
    runs: dict[str, Counter[str]] = {}
    for process in workers:
        for line in process.lines:
            stage = stage_of(line)
            if stage in STAGES:
                runs.setdefault(str(json.loads(line).get("job_id")), Counter())[stage] += 1
    return runs


def chunk_rows(ledger: Ledger, document_id: str = "%") -> int:
    """Chunks in the database, of one document or of all, read beside the product."""
    statement = "SELECT count(*) FROM chunks JOIN documents d ON d.key = document_key WHERE d.id LIKE ?"
    connection = sqlite3.connect(ledger.home / "ragstone.db")
    try:
        return int(connection.execute(statement, (document_id,)).fetchone()[0])
    finally:
        connection.close()


def resident_bytes(ledger: Ledger) -> int:
    """Memory of the server process."""
    status = Path(f"/proc/{ledger.server.process.pid}/status").read_text("ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024
