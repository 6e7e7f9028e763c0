"""What a process that runs on does when it is told to end."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def on_end(stop: Callable[[], None]) -> None:
    """Call `stop` at the first SIGINT or SIGTERM, in the running loop; the next one ends the process."""
    loop = asyncio.get_running_loop()

    def heard() -> None:
        stop()
        for number in SIGNALS:
            loop.remove_signal_handler(number)
        end_at_the_next_signal()

    for number in SIGNALS:
        loop.add_signal_handler(number, heard)


def end_at_the_next_signal() -> None:
    """Give SIGINT and SIGTERM back to the system, which ends the process."""
    if threading.current_thread() is not threading.main_thread():
        return  # signals are not heard here
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
