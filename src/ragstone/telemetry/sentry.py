"""Telling Sentry of errors (extra `sentry`): kind and place, without messages, locals or bodies."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import structlog

from ragstone.errors import InvalidSetting, NotReady
from ragstone.telemetry.log_failures import reason_of
from ragstone.telemetry.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sentry_sdk import Client
    from sentry_sdk.types import Event, Hint

    from ragstone.settings import TelemetrySettings
    from ragstone.telemetry.log_render import Entry

log = structlog.get_logger(__name__)

CLOSE_LIMIT_S = 2.0
TAGS = ("event", "code", "request_id", "trace_id", "route", "status", "stage", "tool")
"""Fields of a line that errors are grouped and found by."""
_KEPT = ("type", "module", "mechanism", "stacktrace")


class Reporter:
    """Sends the errors of the log. Its client is its own: no hooks into the program, nothing gathered."""

    def __init__(self, client: Client, redactor: Redactor) -> None:
        self._client = client
        self._redactor = redactor

    def report(self, entry: Entry, error: BaseException | None) -> None:
        """Send one error of the log; it is queued and sent by a thread."""
        from sentry_sdk.utils import event_from_exception

        event: Event = {}
        if error is not None:
            event, _ = event_from_exception(error, client_options=self._client.options)
        event["level"] = "error"
        told = {**entry.fields, "request_id": entry.caller.request_id or None}
        if entry.span is not None:
            told["trace_id"] = entry.span.trace_id
        event["logger"] = entry.logger
        event["logentry"] = {"message": self._redactor.clean(str(told["event"]))}
        event["tags"] = {
            name: self._redactor.clean(str(told[name])) for name in TAGS if told.get(name) is not None
        }
        self._client.capture_event(event)

    def close(self) -> None:
        """Send what is left."""
        self._client.close(timeout=CLOSE_LIMIT_S)


def open_reporter(settings: TelemetrySettings, secrets: Iterable[str] = ()) -> Reporter | None:
    """The reporter to `telemetry.sentry_dsn`; None without one.

    Raises:
        NotReady: the extra is not installed.
        InvalidSetting: the DSN is none.
    """
    if settings.sentry_dsn is None:
        return None
    try:
        from sentry_sdk import Client
        from sentry_sdk.utils import BadDsn
    except ImportError as error:
        raise NotReady(
            "telemetry.sentry_dsn is set, but Sentry's SDK is not installed: pip install 'ragstone[sentry]'."
        ) from error
    try:
        client = Client(
            dsn=settings.sentry_dsn.get_secret_value(),
            environment=settings.environment,
            release=f"ragstone@{_version()}",
            default_integrations=False,
            auto_enabling_integrations=False,
            include_local_variables=False,
            send_default_pii=False,
            max_breadcrumbs=0,
            before_send=without_words,
        )
    except BadDsn as error:
        raise InvalidSetting(
            "telemetry.sentry_dsn is no DSN: it looks like https://KEY@HOST/PROJECT."
        ) from error
    return Reporter(client, Redactor(secrets))


def without_words(event: Event, _hint: Hint) -> Event:
    """The last step before an event leaves: of an exception its kind, its place and what a system says."""
    values = cast("list[dict[str, object]]", (event.get("exception") or {}).get("values", []))
    error = _hint.get("exc_info", (None, None, None))[1]
    for value in values:
        for name in set(value) - set(_KEPT):
            del value[name]
        stack = cast("dict[str, list[dict[str, object]]]", value.get("stacktrace") or {})
        for frame in stack.get("frames", []):
            frame.pop("vars", None)
    if isinstance(error, BaseException) and values and (reason := reason_of(error)):
        values[-1]["value"] = reason
    for name in ("request", "breadcrumbs", "user", "extra", "modules"):
        cast("dict[str, object]", event).pop(name, None)
    return event


def _version() -> str:
    from importlib.metadata import version

    return version("ragstone")
