"""Words of users and secrets are put everywhere, failures provoked, and all that leaves is searched."""

from __future__ import annotations

import json
import socket
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from mcp import Client
from tests.requirements import verifies
from tests.support.collector import Collector, running_collector
from tests.support.process import Server, run_command, running_server
from tests.support.sentry import SentryDouble, running_sentry
from tests.support.serving import serving

WORDS = ("zebrafinch", "marmoset", "axolotl", "capybara")
"""In questions, in texts, in a file's name, in what a model's server says back."""
QUESTION, TEXT, NAME, ECHO = WORDS
KEY, PASSWORD, TOKEN = "key-canary-4711", "pass-canary-4712", "token-canary-4713"
SECRETS = (KEY, PASSWORD, TOKEN)

LIMIT_S = 60.0
Line = dict[str, Any]


async def _refuse(request: Request) -> JSONResponse:
    """A model's server that quotes the prompt in its error, as some do."""
    asked = await request.json()
    said = f"cannot do {ECHO}: {asked['messages'][-1]['content']} for {request.headers['authorization']}"
    return JSONResponse({"error": {"message": said}}, 500)


async def _refuse_all(request: Request) -> JSONResponse:
    """As `_refuse`; its list of models fails, too, and quotes the key."""
    if request.method == "POST":
        return await _refuse(request)
    return JSONResponse({"error": f"{ECHO} for {request.headers.get('authorization')}"}, 500)


class Watched(NamedTuple):
    """A server whose every output is kept."""

    server: Server
    home: Path
    stderr: Path
    log_file: Path
    collector: Collector
    sentry: SentryDouble
    environment: dict[str, str]

    def lines(self, event: str) -> list[Line]:
        """The lines of one kind in the file of the log."""
        found = [json.loads(line) for line in self.log_file.read_text("utf-8").splitlines()]
        return [line for line in found if line["event"] == event]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Everything is asked, everything fails once, and the server has ended."""
    folder = tmp_path_factory.mktemp("canaries")
    home, log_file = folder / "home", folder / "ragstone.log"
    app = Starlette(routes=[Route("/v1/chat/completions", _refuse, methods=["POST"])])
    with running_collector() as collector, running_sentry() as sentry, serving(app) as model_url:
        environment = {
            **collector.environment,
            "RAGSTONE_GENERATOR__BASE_URL": f"{model_url}/v1",
            "RAGSTONE_GENERATOR__MODEL": "m",
            "RAGSTONE_GENERATOR__API_KEY": KEY,
            "RAGSTONE_CACHE__REDIS_URL": f"redis://user:{PASSWORD}@127.0.0.1:{_closed_port()}/0",
            "RAGSTONE_TELEMETRY__SENTRY_DSN": sentry.dsn,
            "RAGSTONE_TELEMETRY__LOG_FILE": str(log_file),
            "RAGSTONE_TELEMETRY__SLOW_REQUEST_MS": "0.001",
        }
        with running_server(home, environment) as server:
            found = Watched(
                server,
                home,
                folder / "home-server.log",
                log_file,
                collector,
                sentry,
                environment,
            )
            _provoke(found)
        yield found


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def _broken_store(home: Path) -> Iterator[None]:
    """A table is away: statements fail, with users' words as their values."""
    with closing(sqlite3.connect(home / "ragstone.db", isolation_level=None, timeout=LIMIT_S)) as store:
        store.execute("ALTER TABLE text_segments RENAME TO away")
        try:
            yield
        finally:
            store.execute("ALTER TABLE away RENAME TO text_segments")


def _provoke(watched: Watched) -> None:
    client = watched.server.client
    headers = {"authorization": f"Bearer {TOKEN}", "x-api-key": TOKEN, "cookie": f"session={TOKEN}"}
    client.headers.update(headers)
    client.post("/v1/documents", json={"text": f"# Birds\n\nA {TEXT} sat there.", "title": TEXT})
    client.post("/v1/documents", files={"file": (f"{NAME}.md", f"The {TEXT}.".encode())})
    client.post("/v1/documents", files={"file": (f"{NAME}.pdf", f"%PDF-1.4 {TEXT}".encode())})
    client.post("/v1/documents", content=f'{{"text": "{TEXT} \\ud800"}}'.encode())
    for body in ({"question": f"Where is the {QUESTION}?"}, {"question": QUESTION, "stream": True}):
        client.post("/v1/ask", json=body).read()
    client.post(
        "/v1/search", json={"query": QUESTION, "filters": {"type": "eq", "key": QUESTION, "value": 1}}
    )
    client.post("/v1/search", json={"query": QUESTION, "collections": [QUESTION]})
    client.post("/v1/search", json={"query": QUESTION, "nonsense": QUESTION})
    client.post("/v1/search", content=f'{{"query": "{QUESTION}"')
    client.get("/v1/queries/autocomplete", params={"q": QUESTION})
    client.get(f"/v1/documents/{QUESTION}")
    client.get(f"/{QUESTION}")
    client.get("/metrics")
    with _broken_store(watched.home):
        client.post("/v1/documents", json={"text": f"Another {TEXT}.", "title": TEXT})
        client.post("/v1/ask", json={"question": f"{QUESTION} again"})
    run_command("ask", QUESTION, home=watched.home, environ=watched.environment)
    run_command("docs", "show", QUESTION, home=watched.home, environ=watched.environment)

    async def call() -> None:
        async with Client(f"{watched.server.url}/mcp", read_timeout_seconds=60) as assistant:
            await assistant.call_tool("ask", {"question": QUESTION})
            await assistant.call_tool("read_passage", {"document_id": QUESTION})
            await assistant.call_tool("add_document", {"text": f"A {TEXT}.", "title": TEXT})

    anyio.run(call)


@verifies("OBS-04")
@pytest.mark.parametrize("sink", ["stderr", "file"])
def test_no_word_and_no_secret_is_in_the_log(watched: Watched, sink: str) -> None:
    """Of any user, document, file's name, header or setting."""
    written = (watched.stderr if sink == "stderr" else watched.log_file).read_text("utf-8")

    assert "generator_failed" in written
    assert [canary for canary in (*WORDS, *SECRETS) if canary in written] == []


@verifies("OBS-03")
def test_no_word_and_no_secret_is_in_a_trace_or_report(watched: Watched) -> None:
    """Of what went to the collector and to Sentry."""
    exported, reported = b"".join(watched.collector.raw), b"".join(watched.sentry.raw)

    assert b"chat m" in exported
    assert b"StoreFailed" in reported
    for canary in (*WORDS, *SECRETS):
        assert canary.encode() not in exported
        assert canary.encode() not in reported


def test_no_secret_is_in_what_clients_get(watched: Watched, tmp_path: Path) -> None:
    """Nor in metrics, errors and the traces of answers."""
    with running_server(watched.home, watched.environment) as server:
        answer = server.client.post("/v1/ask", json={"question": QUESTION, "cache": False})
        found = [
            answer.text,
            server.client.get(f"/v1/answers/{answer.json()['answer_id']}/trace").text,
            server.client.get("/metrics").text,
            server.client.get("/health/detailed").text,
            server.client.get(f"/v1/documents/{QUESTION}").text,
            run_command("config", "explain", home=watched.home, environ=watched.environment).stdout,
        ]

    assert "generator:failed" in found[0]
    for text in found:
        assert [secret for secret in SECRETS if secret in text] == []


@verifies("OBS-04", "OPS-08")
def test_a_breaker_that_is_open_says_no_word_of_the_prompt(tmp_path: Path) -> None:
    """Its reason is shown everywhere, and the server behind it quotes the prompt: none of that is told."""
    home, log_file = tmp_path / "home", tmp_path / "ragstone.log"
    app = Starlette(routes=[Route("/v1/{rest:path}", _refuse_all, methods=["GET", "POST"])])
    with serving(app) as model_url:
        environ = {
            "RAGSTONE_GENERATOR__BASE_URL": f"{model_url}/v1",
            "RAGSTONE_GENERATOR__MODEL": "m",
            "RAGSTONE_GENERATOR__API_KEY": KEY,
            "RAGSTONE_RESILIENCE__BREAKER_FAILURES": "2",
            "RAGSTONE_TELEMETRY__LOG_FILE": str(log_file),
            "RAGSTONE_TELEMETRY__LOG_LEVEL": "debug",
        }
        with running_server(home, environ) as server:
            server.client.post("/v1/documents", json={"text": f"The {TEXT} sat there."}).raise_for_status()
            answers = [
                server.client.post("/v1/ask", json={"question": f"Where is the {QUESTION}, {number}?"}).json()
                for number in range(6)
            ]
            pages = [
                server.client.get(path).text
                for path in (
                    "/health",
                    "/health/ready",
                    "/health/detailed",
                    "/metrics",
                    "/v1/analytics/errors",
                )
            ]
            doctor = run_command("doctor", "--json", home=home, environ=environ)
            bundle = tmp_path / "bundle.tar.gz"
            made = run_command("support-bundle", "-o", bundle, home=home, environ=environ)

    assert "generator:open" in [one for answer in answers for one in answer["degraded"]]
    assert "left alone" in pages[0] and 'dependency="generator",state="open"} 1.0' in pages[3]
    assert made.exit_code == 0
    with tarfile.open(bundle) as archive:
        files = [archive.extractfile(member) for member in archive.getmembers()]
        packed = [file.read().decode() for file in files if file is not None]
    assert any("left alone" in text for text in packed)
    logged = [log_file.read_text("utf-8"), (tmp_path / "home-server.log").read_text("utf-8")]
    told = [*pages, doctor.stdout + doctor.stderr, *packed, *logged]
    assert [canary for text in told for canary in (*WORDS, KEY) if canary in text] == []


@verifies("OBS-05")
def test_sentry_is_told_what_failed_and_where(watched: Watched) -> None:
    """The kind, the code, the frames, the request; not the message, the values, the body."""
    event = watched.sentry.wait_for("store_failed")

    (log,) = {line["code"] for line in watched.lines("error")}
    assert log == "store_failed"
    values = event["exception"]["values"]
    assert values[-1]["type"] == "StoreFailed"
    assert values[-1]["stacktrace"]["frames"][-1]["function"]
    assert not any("vars" in frame for value in values for frame in value["stacktrace"]["frames"])
    assert event["environment"] == "production"
    assert event["tags"]["request_id"] in {line["request_id"] for line in watched.lines("error")}
    assert "request" not in event and "breadcrumbs" not in event


@verifies("OBS-04")
def test_every_kind_of_event_has_its_fields(watched: Watched) -> None:
    """Time, level, logger, module, function, line, environment, and the ids of request and trace."""
    for event in ("http_response", "llm_call", "slow_request", "error"):
        line = watched.lines(event)[0]
        for name in ("timestamp", "level", "logger", "module", "function", "line", "environment"):
            assert name in line
        assert len(line["trace_id"]) == 32
        assert line["request_id"]
    slow = next(line for line in watched.lines("slow_request") if line.get("route") == "/v1/ask")
    assert slow["level"] == "warning"
    assert {"lexical", "generate", "total"} <= set(slow["stages_ms"])
    assert slow["answer_id"]


@verifies("OBS-04")
def test_at_debug_there_is_more_and_still_no_word(tmp_path: Path) -> None:
    """Beginnings of requests, statements with placeholders, stages of each question."""
    log = tmp_path / "home-server.log"
    with running_server(tmp_path / "home", {"RAGSTONE_TELEMETRY__LOG_LEVEL": "debug"}) as server:
        server.client.post("/v1/documents", json={"text": f"A {TEXT}.", "title": TEXT}).raise_for_status()
        server.client.post("/v1/ask", json={"question": QUESTION}).raise_for_status()

    written = log.read_text("utf-8")
    lines = [json.loads(line) for line in written.splitlines() if line.startswith("{")]
    events = {line["event"] for line in lines}
    assert {"http_request", "http_response", "database_query", "performance"} <= events
    statement = next(line for line in lines if line["event"] == "database_query" and "?" in line["statement"])
    assert statement["duration_ms"] >= 0
    assert [canary for canary in WORDS if canary in written] == []
