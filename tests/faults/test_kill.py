"""kill -9 in every stage of taking documents in: the acknowledged stays, the rest is whole or gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import httpx2
import pytest

from tests.faults.ledger import COLLECTION, Ledger, open_ledger
from tests.support.process import START_LIMIT_S
from tests.support.waiting import wait_until
from tests.support.watched import Condition, WatchedProcess, file_was_written, files_appeared

MOST_ATTEMPTS = 4
JOB_LIMIT_S = 200.0
DISTINCT = 300
"""Sentences of a text that takes long to embed."""
LONG = 2_000
"""Sentences of a text that takes long to write and to index."""

Watch = Callable[[], Condition]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """One home through all kills, so that each one finds what the others left."""
    with open_ledger(tmp_path_factory.mktemp("kill") / "home") as ledger:
        yield ledger


@pytest.mark.parametrize("repetition", range(3))
def test_a_kill_while_parsing_leaves_nothing_of_the_file(
    ledger: Ledger, data_folder: Path, repetition: int
) -> None:
    """Killed while a PDF is parsed, the server leaves no document and no parser process, but the job; once
    that is cancelled, nothing is left of the file.
    """
    content = (data_folder / "files/pdf/unstructured-DA-619p.pdf").read_bytes()
    source = f"report-{repetition}.pdf"

    def attempt() -> None:
        files = {"file": (source, content, "application/pdf")}
        ledger.client.post("/v1/documents", data={"collection": COLLECTION, "source": source}, files=files)

    pid = kill_inside(ledger, "parse", attempt)

    assert_nobody_parses_for(pid)
    assert ledger.check() == 0
    ledger.restart()
    for job in ledger.client.get("/v1/jobs", params={"state": "running"}).json()["jobs"]:
        assert ledger.client.post(f"/v1/jobs/{job['id']}/cancel").status_code == 200
    assert source not in ledger.documents_by_source()
    ledger.assert_whole()


@pytest.mark.parametrize("repetition", range(3))
def test_a_kill_while_embedding_leaves_nothing_of_the_text(ledger: Ledger, repetition: int) -> None:
    """Killed while hundreds of chunks are embedded, the server leaves nothing of them."""
    text = ledger.distinct_text(DISTINCT)

    kill_inside(ledger, "embed", lambda: ledger.client.post("/v1/documents", json=ledger.body(text)))

    if repetition % 2:
        assert ledger.check() == 0
    ledger.restart()
    ledger.assert_absent(text)
    ledger.assert_whole()
    assert ledger.check() == 0


@pytest.mark.parametrize("moment", ["begun", "writing"])
@pytest.mark.parametrize("way", ["add", "replace"])
def test_a_kill_in_the_write_transaction_keeps_the_old_or_the_new_state(
    ledger: Ledger, way: str, moment: str
) -> None:
    """Killed at the start of the transaction or while the log is written, a change is whole or not there."""
    watch = file_was_written(ledger.home / "ragstone.db-wal") if moment == "writing" else None

    change = killed_change(ledger, "write", way, watch)

    assert ledger.check() == 0
    ledger.restart()
    change.settle()
    ledger.assert_whole()


@pytest.mark.parametrize("moment", ["begun", "writing"])
@pytest.mark.parametrize("way", ["add", "replace"])
def test_a_kill_in_the_index_commit_keeps_what_the_rows_say(ledger: Ledger, way: str, moment: str) -> None:
    """Killed while the lexical index is written, the change is there: the rows were committed before."""
    watch = files_appeared(ledger.home / "index") if moment == "writing" else None

    change = killed_change(ledger, "index", way, watch)

    # The first to open the crashed slot is the checker or the server, by turns.
    if moment == "begun":
        assert ledger.check() == 0
    ledger.restart()
    assert change.settle()
    ledger.assert_whole()
    assert ledger.check() == 0


@pytest.mark.parametrize("moment", ["parse", "embed", "write", "write the original", "index"])
def test_a_killed_add_leaves_whole_documents_only(ledger: Ledger, moment: str, tmp_path: Path) -> None:
    """`ragstone add` in a process of its own is killed inside a stage: the file is in as a whole or not."""
    stage = moment.split()[0]
    watch = files_appeared(ledger.home / "blobs") if moment == "write the original" else None
    for _ in range(MOST_ATTEMPTS):
        ledger.add(ledger.distinct_text(3))
        assert ledger.stop() == 0
        text = ledger.distinct_text(DISTINCT) if stage == "embed" else ledger.repeated_text(LONG)
        path = tmp_path / f"{text.marker}.md"
        path.write_text(text.body, "utf-8")
        process = WatchedProcess("add", path, "-c", COLLECTION, home=ledger.home)
        process.kill_at(stage, watch)
        process.wait()

        assert ledger.check() == 0
        ledger.restart()
        document_id = ledger.documents_by_source().get(str(path.resolve()))
        if document_id is None:
            ledger.assert_absent(text)
        else:
            ledger.acknowledged[document_id] = text
        ledger.assert_whole()
        if process.stages_after_kill() == []:
            return
    pytest.fail(f"no kill came inside {stage}")


def test_repair_rebuilds_after_a_kill(ledger: Ledger) -> None:
    """`ragstone check --repair` on what a kill left ends well and keeps everything."""
    killed_change(ledger, "index", "add", None)

    assert ledger.check("--repair") == 0
    ledger.restart()
    ledger.assert_whole()


def test_an_accepted_upload_survives_a_kill(ledger: Ledger) -> None:
    """A file that was answered with 202 is taken in after the restart, and its job says ready."""
    text = ledger.distinct_text(DISTINCT)
    form = {"collection": COLLECTION, "source": text.marker, "wait_s": "0"}
    files = {"file": (f"{text.marker}.md", text.body.encode(), "text/markdown")}
    accepted = ledger.client.post("/v1/documents", data=form, files=files)
    assert accepted.status_code == 202, accepted.text

    ledger.crash()

    job = wait_for_job(ledger, accepted.json()["job_id"])
    assert (job["state"], job["error"]) == ("ready", None)
    assert job["document_id"] == accepted.json()["document_id"]
    ledger.acknowledged[str(job["document_id"])] = text
    ledger.assert_whole()
    assert ledger.check() == 0


def test_an_accepted_upload_that_fails_leaves_nothing(ledger: Ledger) -> None:
    """A broken file that was answered with 202 ends as a failed job with its reason, and its bytes go."""
    form = {"collection": COLLECTION, "source": "broken.pdf", "wait_s": "0"}
    files = {"file": ("broken.pdf", b"%PDF-1.4 and no more", "application/pdf")}
    accepted = ledger.client.post("/v1/documents", data=form, files=files)
    assert accepted.status_code == 202, accepted.text

    job = wait_for_job(ledger, accepted.json()["job_id"])

    assert job["state"] == "failed"
    assert cast("dict[str, str]", job["error"])["code"] == "broken_document"
    assert "broken.pdf" not in ledger.documents_by_source()
    assert ledger.stop() == 0
    assert ledger.check() == 0
    ledger.restart()


class Change:
    """A document that was on its way in when the server was killed."""

    def __init__(self, ledger: Ledger, document_id: str | None) -> None:
        self._ledger = ledger
        self.new = ledger.repeated_text(LONG)
        self._document_id = document_id

    def send(self) -> None:
        """The request that the kill cuts off."""
        if self._document_id is None:
            self._ledger.client.post("/v1/documents", json=self._ledger.body(self.new))
        else:
            self._ledger.client.put(f"/v1/documents/{self._document_id}", json={"text": self.new.body})

    def settle(self) -> bool:
        """Whether the new text is there; all of it must be, and otherwise nothing of it."""
        ledger, document_id = self._ledger, self._document_id
        if document_id is None:
            document_id = ledger.documents_by_source().get(self.new.marker)
        if document_id is None or ledger.read(document_id) != self.new.body:
            ledger.assert_absent(self.new)
            return False
        old = ledger.acknowledged.get(document_id)
        ledger.acknowledged[document_id] = self.new
        assert old is None or not any(ledger.found(old, mode) for mode in ("hybrid", "lexical", "dense"))
        return True


def killed_change(ledger: Ledger, stage: str, way: str, watch: Watch | None) -> Change:
    """A change that was killed inside the stage; changes that a kill came too late for are settled."""
    document_id = (ledger.any_long() or ledger.add(ledger.repeated_text(LONG))) if way == "replace" else None
    for _ in range(MOST_ATTEMPTS):
        change = Change(ledger, document_id)
        if is_killed_inside(ledger, stage, change.send, watch):
            return change
        ledger.restart()
        change.settle()
    pytest.fail(f"no kill came inside {stage}")


def kill_inside(ledger: Ledger, stage: str, send: Callable[[], object]) -> int:
    """Kill the server inside a stage of what `send` asks for; the process's id."""
    for _ in range(MOST_ATTEMPTS):
        pid = ledger.server.process.pid
        if is_killed_inside(ledger, stage, send, None):
            return pid
        ledger.restart()
    pytest.fail(f"no kill came inside {stage}")


def is_killed_inside(ledger: Ledger, stage: str, send: Callable[[], object], watch: Watch | None) -> bool:
    """Kill the server at a stage; whether no later stage had begun and no response had come."""
    ledger.add(ledger.distinct_text(3))
    ledger.server.kill_at(stage, watch)
    is_answered = True
    try:
        send()
    except httpx2.TransportError:
        is_answered = False
    ledger.client.close()
    ledger.server.wait()
    return not is_answered and ledger.server.stages_after_kill() == []


def assert_nobody_parses_for(pid: int) -> None:
    """The parser processes of a killed server end by themselves."""
    wait_until(lambda: None if parsers_of(pid) else True, START_LIMIT_S)


def parsers_of(pid: int) -> list[str]:
    """The ids of the parser processes that name `pid` as their parent."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"ragstone.ingest.parse_worker" in words and str(pid).encode() in words:
            found.append(path.parent.name)
    return found


def wait_for_job(ledger: Ledger, job_id: str) -> dict[str, object]:
    """The job once it does not run any more."""

    def look() -> dict[str, object] | None:
        job: dict[str, object] = ledger.client.get(f"/v1/jobs/{job_id}").json()
        return None if job["state"] in ("queued", "running") else job

    return wait_until(look, JOB_LIMIT_S)
