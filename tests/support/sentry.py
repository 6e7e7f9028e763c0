"""A place that takes Sentry's envelopes over HTTP and keeps them for the test to look at."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.waiting import wait_until

LIMIT_S = 20.0
STOP_LIMIT_S = 5.0
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

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            double.take(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_words: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    double.dsn = f"http://public-key@127.0.0.1:{server.server_address[1]}/1"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield double
    finally:
        server.shutdown()
        server.server_close()
        thread.join(STOP_LIMIT_S)
