"""`ragstone mcp` as its client ends it: by a signal while stdin stays open, or by the end of stdin."""

from __future__ import annotations

import fcntl
import json
import select
import signal
import sqlite3
import subprocess
import termios
from array import array
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.requirements import verifies
from tests.support.generator import running_generator
from tests.support.process import COMMAND, START_LIMIT_S, STOP_LIMIT_S, environment, run_command
from tests.support.waiting import wait_until

Wire = dict[str, Any]
MOST_LISTS, FULL_BYTES = 20, 50_000
"""Lists of the tools, 13 kB each; of the pipe's 64 KiB what leaves no room for another."""
QUESTION = "When does the ferry sail?"


class Talk:
    """A client that speaks the protocol by hand, so that it can end the process as it likes."""

    def __init__(self, home: Path, environ: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "mcp"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=environment(home, environ),
        )
        self._number = 0
        client = {"name": "test", "version": "0"}
        self.call("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=client)
        self._send({"method": "notifications/initialized"})

    def use(self, tool: str, **arguments: object) -> Wire:
        """What a tool answers."""
        result = self.call("tools/call", name=tool, arguments=arguments)
        assert not result.get("isError"), result
        found: Wire = result["structuredContent"]
        return found

    def call(self, method: str, **params: object) -> Wire:
        """The result of a request."""
        self.begin(method, **params)
        assert self.process.stdout is not None
        while True:
            ready, _, _ = select.select([self.process.stdout], [], [], START_LIMIT_S)
            assert ready, f"no answer to {method}"
            said: Wire = json.loads(self.process.stdout.readline())
            if said.get("id") == self._number:
                result: Wire = said["result"]
                return result

    def begin(self, method: str, **params: object) -> None:
        """Ask without waiting for the result."""
        self._number += 1
        self._send({"id": self._number, "method": method, "params": params})

    def _send(self, message: Wire) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")


@pytest.fixture
def talk(home: Path) -> Iterator[Talk]:
    """A process that has answered a question a moment ago."""
    talk = Talk(home)
    with talk.process:
        talk.use("add_document", text="The ferry sails at high tide.")
        yield talk
        talk.process.kill()


@verifies("RES-06", "ANA-01")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, None])
def test_what_was_noted_is_stored_however_the_process_ends(
    talk: Talk, home: Path, number: signal.Signals | None
) -> None:
    """Log, tracked questions and the trace of the answer, though the process ended right after the answer."""
    answer_id = talk.use("ask", question=QUESTION)["answer_id"]
    end(talk, number)
    exit_code = talk.process.wait(STOP_LIMIT_S)

    assert exit_code == 0
    assert logged(home) == [(QUESTION, "mcp", answer_id)]
    assert QUESTION in run_command("queries", "popular", home=home).stdout
    assert run_command("trace", answer_id, home=home).exit_code == 0
    assert run_command("check", home=home).exit_code == 0


def test_an_answer_under_way_does_not_keep_it(home: Path) -> None:
    """A generator that never answers: the process ends all the same, and cleanly."""
    with running_generator() as generator:
        settings = {"RAGSTONE_GENERATOR__BASE_URL": generator.base_url, "RAGSTONE_GENERATOR__MODEL": "held"}
        talk = Talk(home, settings)
        with talk.process:
            talk.use("add_document", text="The ferry sails at high tide.")
            talk.begin("tools/call", name="ask", arguments={"question": QUESTION})
            assert generator.asked.wait(START_LIMIT_S)
            talk.process.send_signal(signal.SIGTERM)
            exit_code = talk.process.wait(STOP_LIMIT_S)
        generator.may_go.set()

    assert exit_code == 0
    assert run_command("check", home=home).exit_code == 0


@verifies("RES-06")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, None])
def test_a_client_that_reads_nothing_does_not_keep_it(
    talk: Talk, home: Path, number: signal.Signals | None
) -> None:
    """The pipe to the client is full: a signal or the end of stdin ends the process; all is stored."""
    answer_id = talk.use("ask", question=QUESTION)["answer_id"]
    for _ in range(MOST_LISTS):
        talk.begin("tools/list")
    wait_until(lambda: unread(talk) >= FULL_BYTES or None, START_LIMIT_S)
    end(talk, number)
    exit_code = talk.process.wait(STOP_LIMIT_S)

    assert exit_code == 0
    assert logged(home) == [(QUESTION, "mcp", answer_id)]
    assert run_command("check", home=home).exit_code == 0


def end(talk: Talk, number: signal.Signals | None) -> None:
    """By a signal, or by the end of stdin."""
    if number is not None:
        talk.process.send_signal(number)
    else:
        assert talk.process.stdin is not None
        talk.process.stdin.close()


def unread(talk: Talk) -> int:
    """Bytes in the pipe from the process."""
    assert talk.process.stdout is not None
    held = array("i", [0])
    fcntl.ioctl(talk.process.stdout, termios.FIONREAD, held)
    return held[0]


def test_long_messages_get_through(talk: Talk) -> None:
    """Longer than a pipe holds."""
    name = "x" * 300_000
    result = talk.call("tools/call", name="read_passage", arguments={"document_id": name})

    assert result["isError"] and name in result["content"][0]["text"]


def logged(home: Path) -> list[tuple[str, str, str]]:
    """Question, door and answer of the requests in the log."""
    with closing(sqlite3.connect(home / "log.db")) as log:
        return log.execute("SELECT question, door, answer_id FROM query_logs").fetchall()
