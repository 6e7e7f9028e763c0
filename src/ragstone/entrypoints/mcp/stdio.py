"""MCP on stdin and stdout, whose input can be ended from inside."""

from __future__ import annotations

import asyncio
import os
import select
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

STDIN = 0
CHUNK_BYTES = 65_536


class EndableInput:
    """Puts a pipe of ours in the place of stdin inside a block: its reader meets the end when we say so.

    A thread that waits in a read of stdin cannot be stopped, so a server that reads it could not end while
    its client neither writes nor closes.
    """

    def __init__(self, on_end: Callable[[], None]) -> None:
        """Call `on_end`, in the running loop, when the client closes its end."""
        self._is_ended = False
        self._on_end = on_end

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._given = os.dup(STDIN)
        ours, self._filled = os.pipe()
        self._heard, self._told = os.pipe()
        os.set_blocking(self._filled, False)
        os.dup2(ours, STDIN)
        os.close(ours)
        self._thread = threading.Thread(target=self._carry, name="stdin")
        self._thread.start()
        return self

    def end(self) -> None:
        """The reader of stdin meets its end; safe in a signal's handler, and more than once."""
        if not self._is_ended:
            self._is_ended = True
            os.write(self._told, b".")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        self._thread.join()
        os.dup2(self._given, STDIN)
        for descriptor in (self._given, self._heard, self._told):
            os.close(descriptor)

    def _carry(self) -> None:
        """Carry bytes from stdin to our pipe until either ends; never waits but for both and the word."""
        held = b""
        try:
            while True:
                sources, sinks = ([], [self._filled]) if held else ([self._given], [])
                ready, _, _ = select.select([self._heard, *sources], sinks, [])
                if self._heard in ready:
                    return
                if held:
                    held = held[os.write(self._filled, held) :]
                elif not (held := os.read(self._given, CHUNK_BYTES)):
                    self._loop.call_soon_threadsafe(self._on_end)
                    return
        finally:
            os.close(self._filled)
