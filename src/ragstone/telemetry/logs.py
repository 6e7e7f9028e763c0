"""Structured logs: JSON for machines, lines for people. Never user or document text, never secrets."""

from __future__ import annotations

import atexit
import logging
import sys
import time
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import structlog

from ragstone.config import secrets_of
from ragstone.settings import TelemetrySettings
from ragstone.telemetry.caller import log_fields, present_caller
from ragstone.telemetry.log_failures import failures
from ragstone.telemetry.log_lines import DELAY_S, Batches, RotatingFile
from ragstone.telemetry.log_render import Entry, ForPeople, Renderer
from ragstone.telemetry.redaction import Redactor
from ragstone.telemetry.sentry import open_reporter
from ragstone.telemetry.spans import present_span

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from types import FrameType

    from ragstone.settings import Settings
    from ragstone.telemetry.sentry import Reporter

URGENT: Final = frozenset({"warning", "error"})


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
        try:
            for processor in self._processors:
                processor(self._logger, level, fields)
        except structlog.DropEvent:  # a test that captures what is logged
            return


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
            processors=[_Pipeline(Renderer(Redactor(), "", ForPeople()), 0.0)],
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
    is_debug = settings.log_level == "debug"
    renderer = Renderer(
        Redactor(secrets),
        settings.environment,
        ForPeople() if is_console else None,
        None
        if settings.log_file is None
        else RotatingFile(settings.log_file, settings.log_file_max_bytes, settings.log_file_count),
    )
    # At debug, lines tell where a process was when it was killed: none may wait.
    delay_s = 0.0 if is_console or is_debug else DELAY_S
    pipeline = _Pipeline(renderer, delay_s, has_messages=is_debug, reporter=reporter)
    atexit.register(pipeline.flush)
    structlog.configure(
        processors=[pipeline],
        wrapper_class=_WRAPPERS[settings.log_level],
        logger_factory=NamedLogger,
        cache_logger_on_first_use=is_lasting,
    )
    logging.basicConfig(handlers=[_LibraryLogs()], level=logging.WARNING)


class _Pipeline:
    """The one processor: notes an event where it comes up, and leaves the rest to whoever makes the lines."""

    def __init__(
        self,
        renderer: Renderer,
        delay_s: float,
        *,
        has_messages: bool = False,
        reporter: Reporter | None = None,
    ) -> None:
        self._batches = Batches(renderer.write, delay_s)
        self._has_messages = has_messages
        self._reporter = reporter
        self.flush = self._batches.flush

    def __call__(self, logger: NamedLogger, method: str, event: MutableMapping[str, object]) -> str:
        """Note an event; what it returns is not looked at."""
        is_urgent = method in URGENT
        error = _exception(event.pop("exc_info", None)) if is_urgent else None
        place = _place()
        entry = Entry(
            time.time(),
            method,
            logger.name,
            place.f_globals.get("__name__", ""),
            place.f_code.co_name,
            place.f_lineno,
            present_caller(),
            present_span(),
            log_fields(),
            event,
            None if error is None else failures(error, has_messages=self._has_messages),
        )
        self._batches.add(entry, is_urgent=is_urgent)
        if self._reporter is not None and method == "error":
            self._reporter.report(entry, error)
        return ""


class _LibraryLogs(logging.Handler):
    """Warnings of libraries, through the same pipeline; their first line, which is what they mean."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one on."""
        log = structlog.get_logger(record.name)
        message = record.getMessage().partition("\n")[0]
        error = record.exc_info[1] if record.exc_info else None
        told = log.error if record.levelno >= logging.ERROR else log.warning
        told("library_log", message=message, exc_info=error)


def _exception(given: object) -> BaseException | None:
    if isinstance(given, BaseException):
        return given
    if isinstance(given, tuple):
        return given[1] if isinstance(given[1], BaseException) else None
    return sys.exc_info()[1] if given else None


def _place() -> FrameType:
    """The frame that logged: three above the pipeline's, or the first one outside of logging."""
    frame = sys._getframe(4)  # noqa: SLF001 (the way of the standard library's own logging)
    while frame.f_back is not None and frame.f_globals.get("__name__") in _OWN:
        frame = frame.f_back
    return frame


_OWN = ("structlog._native", "structlog._base", "logging", __name__)
