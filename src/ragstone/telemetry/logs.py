"""Structured logs: JSON for machines, lines for people. Never user or document text, never secrets."""

from __future__ import annotations

import atexit
import logging
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from ragstone.config import secrets_of
from ragstone.settings import TelemetrySettings
from ragstone.telemetry.caller import log_fields, present_caller
from ragstone.telemetry.log_failures import failures, plain
from ragstone.telemetry.log_lines import DELAY_S, LineWriter, RotatingFile, to_stderr
from ragstone.telemetry.redaction import Redactor
from ragstone.telemetry.sentry import open_reporter
from ragstone.telemetry.spans import present_span

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from types import FrameType

    from ragstone.settings import Settings
    from ragstone.telemetry.log_lines import LineSink
    from ragstone.telemetry.sentry import Reporter

URGENT: Final = frozenset({"warning", "error"})
PLAIN: Final = frozenset({int, float, bool, type(None)})
PLACE = ("logger", "module", "function", "line", "environment")
"""Fields that people at a terminal do without."""

_ENCODER = msgspec.json.Encoder(enc_hook=repr)


class NamedLogger:
    """What a pipeline is told of the logger: its name."""

    def __init__(self, name: str = "ragstone") -> None:
        self.name = name


class DirectLogger(structlog.BoundLoggerBase):
    """Hands events straight to the pipeline; structlog's own way there costs 2 us of 5 (November 2026)."""

    def info(self, event: str, **fields: object) -> None:
        """What happens in the normal course of things."""
        self._log("info", event, fields)

    def debug(self, event: str, **fields: object) -> None:
        """What is too much to be told of every request."""
        self._log("debug", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """What somebody should look at some day."""
        self._log("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        """What went wrong."""
        self._log("error", event, fields)

    def exception(self, event: str, **fields: object) -> None:
        """What went wrong, with the exception that is being handled."""
        self._log("error", event, {"exc_info": True, **fields})

    def _log(self, level: str, event: str, fields: dict[str, object]) -> None:
        fields["event"] = event
        with suppress(structlog.DropEvent):
            for processor in self._processors:
                processor(self._logger, level, fields)


class _FromInfo(DirectLogger):
    def debug(self, event: str, **fields: object) -> None:
        """Not logged."""


class _FromWarning(_FromInfo):
    def info(self, event: str, **fields: object) -> None:
        """Not logged."""


class _FromError(_FromWarning):
    def warning(self, event: str, **fields: object) -> None:
        """Not logged."""


_WRAPPERS: Mapping[str, type[DirectLogger]] = MappingProxyType(
    {"debug": DirectLogger, "info": _FromInfo, "warning": _FromWarning, "error": _FromError}
)


def quiet_logs() -> None:
    """For use as a library: warnings and worse on stderr, unless the program has set structlog up itself."""
    if not structlog.is_configured():
        structlog.configure(
            processors=[_Pipeline(TelemetrySettings(), Redactor(), _Outputs(LineWriter([to_stderr]), True))],
            wrapper_class=_FromWarning,
            logger_factory=NamedLogger,
        )


def start_logs(settings: Settings, *, is_brief: bool = False) -> None:
    """The logs of a process that is ours, for doors; `is_brief` leaves out what a one-off command can.

    Raises:
        NotReady: Sentry is configured and not installed.
        InvalidSetting: its DSN is none.
    """
    telemetry, secrets = settings.telemetry, secrets_of(settings)
    if is_brief and telemetry.log_level == "info":
        telemetry = telemetry.model_copy(update={"log_level": "warning"})
    reporter = open_reporter(telemetry, secrets)
    if reporter is not None:
        atexit.register(reporter.close)
    configure_logs(telemetry, secrets, reporter=reporter, is_lasting=True)


def configure_logs(
    settings: TelemetrySettings,
    secrets: Iterable[str] = (),
    *,
    reporter: Reporter | None = None,
    is_lasting: bool = False,
) -> None:
    """Set structlog up for this process.

    `secrets` are hidden wherever they stand; `reporter` is told of errors. What is lasting is not set up
    anew: loggers remember it, which halves the price of a line that is not logged.
    """
    is_console = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    # At debug, lines tell where a process was when it was killed: none may wait.
    delay_s = 0.0 if is_console or settings.log_level == "debug" else DELAY_S
    writer = LineWriter([to_stderr], delay_s)
    atexit.register(writer.flush)
    outputs = _Outputs(writer, is_console, _open_file(settings))
    pipeline = _Pipeline(settings, Redactor(secrets), outputs, reporter)
    structlog.configure(
        processors=[pipeline],
        wrapper_class=_WRAPPERS[settings.log_level],
        logger_factory=NamedLogger,
        cache_logger_on_first_use=is_lasting,
    )
    logging.basicConfig(handlers=[_LibraryLogs()], level=logging.WARNING)


def _open_file(settings: TelemetrySettings) -> LineWriter | None:
    if settings.log_file is None:
        return None
    file: LineSink = RotatingFile(settings.log_file, settings.log_file_max_bytes, settings.log_file_count)
    writer = LineWriter([file], 0.0 if settings.log_level == "debug" else DELAY_S)
    atexit.register(writer.flush)
    return writer


@dataclass(frozen=True, slots=True)
class _Outputs:
    """Where lines go: stderr, for machines or for people, and a file."""

    writer: LineWriter
    is_console: bool
    file: LineWriter | None = None


class _Pipeline:
    """The one processor: what took three and 13 us a line takes one and 5 (November 2026)."""

    def __init__(
        self,
        settings: TelemetrySettings,
        redactor: Redactor,
        outputs: _Outputs,
        reporter: Reporter | None = None,
    ) -> None:
        self._has_messages = settings.log_level == "debug"
        self._environment = settings.environment
        self._redactor = redactor
        self._writer, self._file = outputs.writer, outputs.file
        self._console = structlog.dev.ConsoleRenderer() if outputs.is_console else None
        self._reporter = reporter
        self._second = (0, "")

    def __call__(self, logger: NamedLogger, method: str, event: MutableMapping[str, object]) -> str:
        """Write an event everywhere; what it returns is not looked at."""
        error = _exception(event.pop("exc_info", None))
        place = _place()
        line: dict[str, object] = {
            "timestamp": self._now(),
            "level": method,
            "event": event.pop("event", ""),
            "logger": logger.name,
            "module": place.f_globals.get("__name__", ""),
            "function": place.f_code.co_name,
            "line": place.f_lineno,
            "environment": self._environment,
        }
        _add_request(line)
        is_plain = self._add_fields(line, event)
        if error is not None:
            line["exception"], is_plain = failures(error, has_messages=self._has_messages), False
        self._write(line, is_plain=is_plain, is_urgent=method in URGENT)
        if self._reporter is not None and method == "error":
            self._reporter.report(line, error)
        return ""

    def _add_fields(self, line: dict[str, object], event: MutableMapping[str, object]) -> bool:
        """The fields without secrets; False when some are no plain values, which are cleaned later."""
        is_plain = True
        for name, value in event.items():
            kind = type(value)
            if kind is str:
                line[name] = self._redactor.clean_short(value)
            else:
                line[name] = value
                is_plain = is_plain and kind in PLAIN
        return is_plain

    def _write(self, line: dict[str, object], *, is_plain: bool, is_urgent: bool) -> None:
        encoded = None
        if self._console is None or self._file is not None:
            encoded = _ENCODER.encode(line).decode()
            if not is_plain:
                encoded = self._redactor.clean(encoded)
        if self._file is not None and encoded is not None:
            self._file.write(encoded, is_urgent=is_urgent)
        if self._console is None and encoded is not None:
            self._writer.write(encoded, is_urgent=is_urgent)
        elif self._console is not None:
            self._writer.write(self._redactor.clean(self._for_people(self._console, line)), is_urgent=True)

    def _for_people(self, console: structlog.dev.ConsoleRenderer, line: dict[str, object]) -> str:
        shown = {name: value for name, value in line.items() if name not in PLACE}
        chain = shown.pop("exception", None)
        text = str(console(None, "", shown))
        return f"{text}\n{plain(chain)}" if isinstance(chain, list) else text

    def _now(self) -> str:
        """UTC, ISO 8601; the part up to the second is made once a second."""
        present = time.time()
        second = int(present)
        if self._second[0] != second:
            self._second = (second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)))
        return f"{self._second[1]}.{int((present - second) * 1_000_000):06d}Z"


class _LibraryLogs(logging.Handler):
    """Warnings of libraries, through the same pipeline; their first line, which is what they mean."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one on."""
        log = structlog.get_logger(record.name)
        message = record.getMessage().partition("\n")[0]
        error = record.exc_info[1] if record.exc_info else None
        told = log.error if record.levelno >= logging.ERROR else log.warning
        told("library_log", message=message, exc_info=error)


def _add_request(line: dict[str, object]) -> None:
    """Which request, trace and work a line belongs to."""
    caller, here = present_caller(), present_span()
    if caller.request_id:
        line["request_id"] = caller.request_id
    if here is not None:
        line["trace_id"], line["span_id"] = here.trace_id, here.span_id
    if fields := log_fields():
        line.update(fields)


def _exception(given: object) -> BaseException | None:
    if isinstance(given, BaseException):
        return given
    if isinstance(given, tuple):
        return given[1] if isinstance(given[1], BaseException) else None
    return sys.exc_info()[1] if given else None


def _place() -> FrameType:
    """The frame that logged: the first one outside of structlog and this module."""
    frame = sys._getframe(2)  # noqa: SLF001 (the way of the standard library's own logging)
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith(_OWN):
        frame = frame.f_back
    return frame


_OWN = ("structlog", "logging", __name__)
