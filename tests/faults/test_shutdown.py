"""A server that is told to end: what is under way ends well, what is new goes elsewhere, nothing is lost."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.requirements import verifies
from tests.support.generator import GeneratorDouble, running_generator
from tests.support.process import STOP_LIMIT_S, Server, run_command, running_server
from tests.support.waiting import wait_until

WAIT_S = 120.0
QUESTION = {"question": "Where does the heron wait?"}


@pytest.fixture
def generator() -> Iterator[GeneratorDouble]:
    """A generator that answers when it may."""
    with running_generator() as double:
        yield double
        double.may_go.set()


@contextmanager
def asked(server: Server, generator: GeneratorDouble) -> Iterator[Future[httpx2.Response]]:
    """A question under way: the generator has it and holds it."""
    server.client.post("/v1/documents", json={"text": "The heron waits by the river."}).raise_for_status()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(server.client.post, "/v1/ask", json=QUESTION)
        assert generator.asked.wait(WAIT_S)
        yield answer


@verifies("RES-06")
def test_what_is_under_way_ends_well(home: Path, generator: GeneratorDouble) -> None:
    """While an answer is written, newcomers are sent away and readiness says no; then the server is gone."""
    with running_server(home, settings(generator, grace_s=60)) as server, asked(server, generator) as answer:
        server.process.send_signal(signal.SIGTERM)
        with httpx2.Client(base_url=server.url, timeout=WAIT_S, trust_env=False) as others:
            ready = wait_until(lambda: not_ready(others), WAIT_S)
            refused = others.post("/v1/search", json={"query": "heron"})
            live = others.get("/health/live")
        generator.may_go.set()
        told = answer.result(WAIT_S)
        exit_code = server.process.wait(STOP_LIMIT_S)

    assert (ready.json()["phase"], ready.json()["ready"]) == ("draining", False)
    assert (refused.status_code, refused.json()["code"]) == (503, "shutting_down")
    assert refused.json()["retryable"]
    assert (refused.headers["connection"], refused.headers["retry-after"]) == ("close", "1")
    assert live.status_code == 200
    assert (told.status_code, told.json()["mode"]) == (200, "generated")
    assert exit_code == 0


@verifies("RES-06")
def test_the_grace_ends(home: Path, generator: GeneratorDouble) -> None:
    """A generator that never answers does not keep the server: it ends by itself, cleanly."""
    with running_server(home, settings(generator, grace_s=0.5)) as server, asked(server, generator) as answer:
        server.process.send_signal(signal.SIGTERM)

        assert server.process.wait(STOP_LIMIT_S) == 0
        generator.may_go.set()
        with pytest.raises(httpx2.HTTPError):
            answer.result(WAIT_S).raise_for_status()


@verifies("RES-06")
def test_a_second_signal_is_the_end(home: Path, generator: GeneratorDouble) -> None:
    """The process is gone while an answer was under way; what was acknowledged is there at the next start."""
    with running_server(home, settings(generator, grace_s=600)) as server, asked(server, generator) as answer:
        server.process.send_signal(signal.SIGTERM)
        with httpx2.Client(base_url=server.url, timeout=WAIT_S, trust_env=False) as others:
            wait_until(lambda: not_ready(others), WAIT_S)
        server.process.send_signal(signal.SIGTERM)

        assert server.process.wait(STOP_LIMIT_S) == -signal.SIGTERM
        with pytest.raises(httpx2.TransportError):
            answer.result(WAIT_S)
    found = run_command("search", "heron", home=home)
    assert "The heron waits by the river." in found.stdout
    assert run_command("check", home=home).exit_code == 0


@verifies("RES-06")
def test_jobs_and_questions_outlive_the_end(home: Path) -> None:
    """Questions asked a moment before are stored, and jobs that were not begun wait for the next worker."""
    with running_server(home, {"RAGSTONE_INGEST__WORKERS": "1"}) as server:
        server.client.post("/v1/documents", json={"text": "The heron waits."}).raise_for_status()
        server.client.post("/v1/search", json={"query": "Who waits there?"}).raise_for_status()
        text = "The heron waits by the river. " * 4000
        files = [("file", (f"{n}.md", f"# {n}\n\n{text}".encode(), "text/markdown")) for n in range(8)]
        accepted = server.client.post("/v1/documents", files=files, data={"wait_s": "0"}).raise_for_status()
        exit_code = server.stop()

    assert (exit_code, len(accepted.json()["results"])) == (0, 8)
    assert "Who waits there?" in run_command("queries", "popular", home=home).stdout
    with running_server(home) as server:
        states = wait_until(lambda: ended(server), WAIT_S)
    assert states == ["ready"] * 8


@verifies("RES-06")
def test_who_waits_for_a_job_is_told_that_it_waits(home: Path) -> None:
    """When the server ends, uploads that wait for their job are answered 202 long before the grace ends."""
    with running_server(
        home, {"RAGSTONE_INGEST__WORKERS": "1", "RAGSTONE_SERVER__SHUTDOWN_GRACE_S": "50"}
    ) as server:
        text = "The heron waits by the river. " * 8_000
        with ThreadPoolExecutor(3) as pool:
            uploads = [
                pool.submit(
                    server.client.post, "/v1/documents", files=[file(n, text)], data={"wait_s": "600"}
                )
                for n in range(3)
            ]
            wait_until(lambda: queued(server, 3), WAIT_S)
            server.process.send_signal(signal.SIGTERM)
            statuses = sorted(upload.result(WAIT_S).status_code for upload in uploads)
            exit_code = server.process.wait(STOP_LIMIT_S)

    assert exit_code == 0
    assert set(statuses) <= {201, 202}
    assert statuses[-1] == 202


@verifies("RES-06", "OBS-04")
def test_the_end_is_no_part_of_a_request(home: Path) -> None:
    """The line that tells of it has no request's id: neither of one before, nor of the command's own."""
    with running_server(home) as server:
        server.client.post("/v1/search", json={"query": "heron"}, headers={"x-request-id": "before"})
    log = (home.parent / f"{home.name}-server.log").read_text("utf-8")
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]

    (request,) = [line for line in lines if line["event"] == "http_response"]
    (end,) = [line for line in lines if line["event"] == "draining"]
    assert request["request_id"] == "before"
    assert end.get("request_id", "") == ""


def settings(generator: GeneratorDouble, grace_s: float) -> dict[str, str]:
    """A server whose generator holds its answers, and how long it may wait for them."""
    return {
        "RAGSTONE_GENERATOR__BASE_URL": generator.base_url,
        "RAGSTONE_GENERATOR__MODEL": "held",
        "RAGSTONE_SERVER__SHUTDOWN_GRACE_S": str(grace_s),
    }


def not_ready(client: httpx2.Client) -> httpx2.Response | None:
    """The response that says so."""
    response = client.get("/health/ready")
    return response if response.status_code == 503 else None


def file(number: int, text: str) -> tuple[str, tuple[str, bytes, str]]:
    """A file of its own name."""
    return ("file", (f"{number}.md", f"# {number}\n\n{text}".encode(), "text/markdown"))


def queued(server: Server, count: int) -> bool | None:
    """Whether so many jobs are known."""
    return len(server.client.get("/v1/jobs").json()["jobs"]) >= count or None


def ended(server: Server) -> list[str] | None:
    """The states of the uploads' jobs, once all have ended."""
    jobs = server.client.get("/v1/jobs", params={"limit": "50"}).raise_for_status().json()["jobs"]
    states = [job["state"] for job in jobs]
    return states if states and not {"queued", "running"} & set(states) else None
