"""From what was noted of an event to its line: as JSON for machines and files, in words for people."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import structlog

from ragstone.telemetry.log_failures import plain
from ragstone.telemetry.log_lines import to_stderr

if TYPE_CHECKING:
    from ragstone.telemetry.caller import Caller
    from ragstone.telemetry.log_failures import Failure
    from ragstone.telemetry.log_lines import LineSink
    from ragstone.telemetry.redaction import Redactor
    from ragstone.telemetry.spans import Span

PLAIN: Final = frozenset({int, float, bool, type(None)})
PLACE: Final = ("logger", "module", "function", "line", "environment")
"""Fields that people at a terminal do without."""

_ENCODER = msgspec.json.Encoder(enc_hook=repr)


class Entry(NamedTuple):
    """One event, as it came."""

    at_s: float
    level: str
    logger: str
    module: str
    function: str
    line: int
    caller: Caller
    span: Span | None
    bound: Mapping[str, object]
    fields: Mapping[str, object]
    """With `event`, its name."""
    failures: list[Failure] | None


class ForPeople:
    """Lines for a terminal."""

    def __init__(self) -> None:
        self._console = structlog.dev.ConsoleRenderer()

    def render(self, line: Mapping[str, object]) -> str:
        """What happened, and after it the places of an exception."""
        shown = {name: value for name, value in line.items() if name not in PLACE}
        chain = shown.pop("exception", None)
        text = str(self._console(None, "", shown))
        return f"{text}\n{plain(chain)}" if isinstance(chain, list) else text


class Renderer:
    """Makes the lines of a batch, without secrets, and writes them to stderr and to a file."""

    def __init__(
        self,
        redactor: Redactor,
        environment: str,
        for_people: ForPeople | None,
        file: LineSink | None = None,
    ) -> None:
        self._redactor = redactor
        self._environment = environment
        self._for_people = for_people
        self._file = file
        self._second = (0, "")

    def write(self, entries: Sequence[Entry]) -> None:
        """Write a batch everywhere."""
        lines = [self._line(entry) for entry in entries]
        as_json = ""
        if self._for_people is None or self._file is not None:
            as_json = "".join(self._json(entry, line) for entry, line in zip(entries, lines, strict=True))
        if self._for_people is None:
            to_stderr(as_json)
        else:
            for line in lines:
                to_stderr(self._redactor.clean(self._for_people.render(line)) + "\n")
        if self._file is not None:
            self._file(as_json)

    def _line(self, entry: Entry) -> dict[str, object]:
        line: dict[str, object] = {
            "timestamp": self._time(entry.at_s),
            "level": entry.level,
            "event": entry.fields["event"],
            "logger": entry.logger,
            "module": entry.module,
            "function": entry.function,
            "line": entry.line,
            "environment": self._environment,
        }
        if entry.caller.request_id:
            line["request_id"] = entry.caller.request_id
        if entry.span is not None:
            line["trace_id"], line["span_id"] = entry.span.trace_id, entry.span.span_id
        if entry.bound:
            line.update(entry.bound)
        for name, value in entry.fields.items():
            line[name] = self._redactor.clean_short(value) if type(value) is str else value
        if entry.failures is not None:
            line["exception"] = entry.failures
        return line

    def _json(self, entry: Entry, line: Mapping[str, object]) -> str:
        encoded = _ENCODER.encode(line).decode()
        # Texts are clean already; what has them inside is cleaned as a whole.
        if entry.failures is not None or not all(
            type(value) is str or type(value) in PLAIN for value in entry.fields.values()
        ):
            encoded = self._redactor.clean(encoded)
        return f"{encoded}\n"

    def _time(self, at_s: float) -> str:
        """UTC, ISO 8601; the part up to the second is made once a second."""
        second = int(at_s)
        if self._second[0] != second:
            self._second = (second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)))
        return f"{self._second[1]}.{int((at_s - second) * 1_000_000):06d}Z"
