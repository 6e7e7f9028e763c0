"""A process whose stderr is read line by line, and which can be killed the moment a line appears."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.support.process import COMMAND, START_LIMIT_S, STOP_LIMIT_S, environment

DEBUG_LOGS = {
    "RAGSTONE_TELEMETRY__LOG_LEVEL": "debug",
    "RAGSTONE_TELEMETRY__LOG_FORMAT": "json",
    "PYTHONFAULTHANDLER": "1",
}
SPIN_LIMIT_S = 5.0

Condition = Callable[[], bool]


class WatchedProcess:
    """`ragstone WORDS...` on a home, with debug logs as JSON; a thread reads every line at once."""

    def __init__(self, *words: str | Path, home: Path, environ: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, words)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment(home, {**DEBUG_LOGS, **(environ or {})}),
        )
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._trigger: str | None = None
        self._condition: Callable[[], Condition] | None = None
        self._killed_after: int | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def kill_at(self, stage: str, when: Callable[[], Condition] | None = None) -> None:
        """Arm: kill -9 at the line that begins `stage`.

        `when`, called at that line, gives a condition that is then waited for without a pause.
        """
        with self._news:
            self._condition, self._trigger = when, stage

    def wait_for(self, fragment: str) -> str:
        """The first line so far or to come that holds `fragment`."""
        with self._news:
            self._news.wait_for(lambda: self._find(fragment) is not None, START_LIMIT_S)
        found = self._find(fragment)
        if found is None:
            raise TimeoutError(f"no line with {fragment!r} in {self.lines[-20:]}")
        return found

    def wait(self, limit_s: float = STOP_LIMIT_S) -> int:
        """The exit code, after every line was read; one that does not end says where it stands."""
        try:
            code = self.process.wait(limit_s)
        except subprocess.TimeoutExpired as error:
            self.process.send_signal(signal.SIGABRT)  # faulthandler writes every thread's stack
            self.process.wait(STOP_LIMIT_S)
            self._reader.join(STOP_LIMIT_S)
            raise TimeoutError("\n".join(self.lines[-120:])) from error
        self._reader.join(STOP_LIMIT_S)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code

    def end(self) -> int:
        """SIGTERM if it still runs; the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.wait()

    def stages_after_kill(self) -> list[str] | None:
        """Stages that began after the one killed in and before the kill; None when it was not killed."""
        if self._killed_after is None:
            return None
        return [stage for stage in map(stage_of, self.lines[self._killed_after :]) if stage is not None]

    def _find(self, fragment: str) -> str | None:
        return next((line for line in self.lines if fragment in line), None)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for raw in self.process.stderr:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            if self._trigger is not None and stage_of(line) == self._trigger:
                self._kill()
                self._killed_after = len(self.lines) + 1
            with self._news:
                self.lines.append(line)
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def _kill(self) -> None:
        self._trigger = None
        if self._condition is not None:
            is_met, give_up_at = self._condition(), time.monotonic() + SPIN_LIMIT_S
            while not is_met() and time.monotonic() < give_up_at and self.process.poll() is None:
                pass
        self.process.kill()


def stage_of(line: str) -> str | None:
    """The stage that a log line begins: parse, chunk, embed, write or index; None for other lines."""
    if "stage_started" in line:
        stage = json.loads(line)["stage"]
        return str(stage) if stage in ("parse", "chunk", "embed", "write") else None
    return "index" if "index_commit_started" in line else None


def file_was_written(path: Path) -> Callable[[], Condition]:
    """A condition for `kill_at`: the file was written to since the line."""

    def watch() -> Condition:
        before = _written_at(path)
        return lambda: _written_at(path) != before

    return watch


def files_appeared(folder: Path) -> Callable[[], Condition]:
    """A condition for `kill_at`: there are files under the folder that were not there at the line."""

    def watch() -> Condition:
        before = _files(folder)
        return lambda: not _files(folder) <= before

    return watch


def _written_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _files(folder: Path) -> set[str]:
    """Every file that has its final name; a dot begins those that are still being written."""
    found = (Path(root, name) for root, _, names in os.walk(folder) for name in names)
    return {str(path) for path in found if not path.name.startswith(".")}
