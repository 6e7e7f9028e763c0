"""A place that takes Sentry's envelopes over HTTP and keeps them for the test to look at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.serving import taking
from tests.support.waiting import wait_until

LIMIT_S = 60.0
Event = dict[str, Any]


@dataclass
class SentryDouble:
    """What was reported so far; `raw` holds every body."""

    dsn: str = ""
    events: list[Event] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    def take(self, body: bytes) -> None:
        """Keep an envelope: a line of headers, then an item's headers and the item, each in a line."""
        self.raw.append(body)
        lines = body.split(b"\n")
        for headers, item in zip(lines[1::2], lines[2::2], strict=False):
            if headers and json.loads(headers).get("type") == "event":
                self.events.append(json.loads(item))

    def wait_for(self, code: str) -> Event:
        """The newest event with this code."""

        def look() -> Event | None:
            found = [event for event in self.events if event["tags"].get("code") == code]
            return found[-1] if found else None

        return wait_until(look, LIMIT_S)


@contextmanager
def running_sentry() -> Iterator[SentryDouble]:
    """On a port of its own."""
    double = SentryDouble()
    with taking(double.take, b"{}") as port:
        double.dsn = f"http://public-key@127.0.0.1:{port}/1"
        yield double
