"""Small servers on ports of their own, each in a thread."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseRequestHandler

import uvicorn
from starlette.types import ASGIApp

STOP_LIMIT_S = 30.0
POLL_S = 0.02


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """The address of an ASGI application."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, log_level="critical", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(STOP_LIMIT_S)
        listener.close()


@contextmanager
def handling(handler: type[BaseRequestHandler]) -> Iterator[int]:
    """The port where `handler` answers, each connection in a thread; those open at the end are left."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(POLL_S,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(STOP_LIMIT_S)


@contextmanager
def taking(take: Callable[[bytes], None], reply: bytes = b"") -> Iterator[int]:
    """The port where every POST is answered with `reply`; `take` gets its body, unpacked."""

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            take(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("content-length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_words: object) -> None:
            """Say nothing."""

    with handling(Taker) as port:
        yield port
