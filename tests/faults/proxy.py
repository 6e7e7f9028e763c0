"""A TCP proxy that goes wrong in five ways, in threads of its own."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Fault = Literal["slow", "error", "garbage", "stopped", "flapping"]
Mode = Literal["well"] | Fault

GARBAGE = b"\x00\xff<html>*3\r\n$-7\r\nnot what you asked for\r\n\r\n" * 8
PIECE = 65_536
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends a reset."""


class FaultProxy:
    """Passes connections on to `target` until told to do otherwise.

    slow: every piece of an answer comes `delay_s` late. error: connections are reset. garbage: the answer to
    the first bytes is none that the protocol knows. stopped: connections are taken and nothing is answered.
    flapping: every second connection is reset. A new mode ends the connections of the old one.
    """

    def __init__(self, target: tuple[str, int], delay_s: float) -> None:
        self._target = target
        self._delay_s = delay_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.mode: Mode = "well"
        self.connections = 0
        """Taken since the start."""
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._changed = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def become(self, mode: Mode) -> None:
        """Behave so from here on."""
        with self._lock:
            self.mode = mode
            self._changed.set()
            self._changed = threading.Event()
            for connection in list(self._open):
                _reset(connection)
            self._open.clear()

    def close(self) -> None:
        """Take no more connections."""
        self._is_over.set()
        self.become("error")
        self._listener.close()

    def _accept(self) -> None:
        while not self._is_over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                mode, changed = self.mode, self._changed
                if mode == "error" or (mode == "flapping" and self.connections % 2):
                    _reset(connection)
                    continue
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection, mode, changed), daemon=True).start()

    def _serve(self, connection: socket.socket, mode: Mode, changed: threading.Event) -> None:
        with contextlib.suppress(OSError):
            if mode == "stopped":
                changed.wait()
            elif mode == "garbage":
                connection.recv(PIECE)
                connection.sendall(GARBAGE)
            else:
                self._pass_on(connection, self._delay_s if mode == "slow" else 0.0, changed)
        with self._lock:
            self._open.discard(connection)
        connection.close()

    def _pass_on(self, connection: socket.socket, delay_s: float, changed: threading.Event) -> None:
        with socket.create_connection(self._target) as server:
            asking = threading.Thread(target=_copy, args=(connection, server, 0.0, changed), daemon=True)
            asking.start()
            _copy(server, connection, delay_s, changed)


def _copy(source: socket.socket, target: socket.socket, delay_s: float, changed: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(PIECE):
            if delay_s:
                changed.wait(delay_s)
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.shutdown(socket.SHUT_RD)
    connection.close()


@contextmanager
def running_proxy(port: int, delay_s: float) -> Iterator[FaultProxy]:
    """A proxy in front of what listens on `port` of this machine."""
    proxy = FaultProxy(("127.0.0.1", port), delay_s)
    try:
        yield proxy
    finally:
        proxy.close()
