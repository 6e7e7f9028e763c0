"""Running the real command line and the real server as processes of their own."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from tests.support.waiting import wait_until

START_LIMIT_S = 60.0
STOP_LIMIT_S = 60.0
COMMAND_LIMIT_S = 240.0
COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COMMAND = (sys.executable, "-m", "ragstone.entrypoints.cli.main")
PATIENT = {
    "RAGSTONE_SEARCH__LEG_TIMEOUT_S": "50",
    "RAGSTONE_SEARCH__TIMEOUT_S": "60",
    "RAGSTONE_INGEST__PARSE_TIMEOUT_S": "120",
    "RAGSTONE_INGEST__WAIT_S": "120",
}
"""A machine with much else to do is slow, not wrong: what is late there is neither degraded nor refused."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that came to its end."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, object]:
        """Its stdout as a JSON object."""
        found: dict[str, object] = json.loads(self.stdout)
        return found


def run_command(
    *words: str | Path,
    home: Path,
    environ: Mapping[str, str] | None = None,
    stdin: str = "",
    limit_s: float = COMMAND_LIMIT_S,
) -> Finished:
    """Run `ragstone WORDS...` on a home to its end."""
    done = subprocess.run(
        [*COMMAND, *map(str, words)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
        env=environment(home, environ),
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def run_in_terminal(
    *words: str | Path, home: Path, columns: int, limit_s: float = COMMAND_LIMIT_S
) -> Finished:
    """The same in a terminal of so many columns; what it shows, without colours, is its stdout."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    # A terminal tells its own width.
    environ = {name: value for name, value in environment(home, None).items() if name != "COLUMNS"}
    with subprocess.Popen(
        [*COMMAND, *map(str, words)], stdin=theirs, stdout=theirs, stderr=theirs, env=environ
    ) as process:
        os.close(theirs)
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(_read_terminal, ours)
            try:
                exit_code = process.wait(limit_s)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            shown = reading.result()
    os.close(ours)
    return Finished(exit_code, COLOURS.sub("", shown.decode()).replace("\r\n", "\n"), "")


def _read_terminal(handle: int) -> bytes:
    """All that is written until nobody holds the other end."""
    parts = []
    with contextlib.suppress(OSError):
        while part := os.read(handle, 65_536):
            parts.append(part)
    return b"".join(parts)


@dataclass(slots=True)
class Server:
    """A `ragstone serve` process."""

    process: subprocess.Popen[bytes]
    url: str
    client: httpx2.Client
    log: list[str] = field(default_factory=list)

    def kill(self) -> None:
        """kill -9, and wait until the process is gone."""
        self.process.kill()
        self.process.wait(STOP_LIMIT_S)
        self.client.close()
        if self.process.stderr is not None:
            self.process.stderr.close()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_LIMIT_S)

    def wait_for_log(self, *fragments: str, limit_s: float = START_LIMIT_S) -> str:
        """The next log line that holds all fragments."""
        assert self.process.stderr is not None
        give_up_at = time.monotonic() + limit_s
        while time.monotonic() < give_up_at:
            line = _read_line(self.process, give_up_at)
            self.log.append(line)
            if all(fragment in line for fragment in fragments):
                return line
        raise TimeoutError(f"no log line with {fragments} within {limit_s} s")


def start_server(home: Path, environ: Mapping[str, str] | None = None) -> Server:
    """Start `ragstone serve` on a free port and wait until it answers."""
    process = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        bufsize=0,
        env=environment(home, environ),
    )
    lines: list[str] = []
    give_up_at = time.monotonic() + START_LIMIT_S
    while time.monotonic() < give_up_at:
        line = _read_line(process, give_up_at)
        lines.append(line)
        if line.startswith("Ragstone answers at "):
            url = line.split()[3]
            client = httpx2.Client(base_url=url, timeout=COMMAND_LIMIT_S, trust_env=False)
            return Server(process, url, client, lines)
    process.kill()
    process.wait()
    raise TimeoutError(f"the server did not start: {lines}")


@contextmanager
def uncounted() -> Iterator[None]:
    """Processes started meanwhile do not measure coverage, which costs up to a third of their time."""
    names = [name for name in os.environ if name.startswith("COVERAGE_PROCESS")]
    taken = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(taken)


@contextmanager
def running_server(home: Path, environ: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server that is stopped at the end, its log drained so that it never blocks on a full pipe."""
    log = home.parent / f"{home.name}-server.log"
    server = _start_logged(home, environ, log)
    try:
        yield server
    finally:
        server.client.close()
        server.stop()


def _start_logged(home: Path, environ: Mapping[str, str] | None, log: Path) -> Server:
    with log.open("ab") as stderr:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--port", "0"],
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=environment(home, environ),
        )

    def look() -> Server | int | None:
        for line in log.read_text("utf-8", "replace").splitlines()[::-1]:
            # A log may begin with an earlier server's address on the same home.
            if line.startswith("Ragstone answers at ") and line.split()[3] == _card_of(home, process.pid):
                url = line.split()[3]
                client = httpx2.Client(base_url=url, timeout=COMMAND_LIMIT_S, trust_env=False)
                return Server(process, url, client)
        return process.poll()

    with contextlib.suppress(TimeoutError):
        if isinstance(server := wait_until(look, START_LIMIT_S, 0.02), Server):
            return server
    process.kill()
    process.wait()
    raise TimeoutError(f"the server did not start: {log.read_text('utf-8', 'replace')}")


def _card_of(home: Path, pid: int) -> str | None:
    """The address in the card of this process."""
    try:
        card = json.loads((home / "server.json").read_text("utf-8"))
        return str(card["url"]) if card["pid"] == pid else None
    except (OSError, ValueError, KeyError):
        return None


def _read_line(process: subprocess.Popen[bytes], give_up_at: float) -> str:
    assert process.stderr is not None
    stream = process.stderr
    ready, _, _ = select.select([stream], [], [], max(0.0, give_up_at - time.monotonic()))
    line = stream.readline() if ready else b""
    if not line:
        raise RuntimeError(f"the server ended with exit code {process.poll()}")
    return line.decode("utf-8", "replace").rstrip("\n")


def environment(home: Path, extra: Mapping[str, str] | None) -> dict[str, str]:
    """The environment of a child: no setting but the home, patience, and those given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAGSTONE_")}
    fixed = {"RAGSTONE_HOME": str(home), "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
    return {**kept, **fixed, **PATIENT, **(extra or {})}
