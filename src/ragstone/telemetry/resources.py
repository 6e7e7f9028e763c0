"""What this process takes of the machine, and what is left of it."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ragstone.telemetry.devices import Gpu, find_gpus

KEPT_S = 1.0
"""Scrapes that follow each other closely see the same figures."""


@dataclass(frozen=True, slots=True)
class Resources:
    """Figures of one moment; bytes and seconds."""

    cpu_s: float
    resident_bytes: int
    children_resident_bytes: int
    threads: int
    open_files: int
    began_s: float
    available_bytes: int
    disk_free_bytes: int
    gpus: tuple[Gpu, ...] = ()
    connections: int = 0
    """TCP sockets that this process holds, listening ones included."""


class ResourceReader:
    """Reads the figures of this process, at most once a second."""

    def __init__(
        self,
        folder: Path,
        gpus: Callable[[], tuple[Gpu, ...]] = find_gpus,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._gpus = gpus
        self._clock = clock
        self._read_at = -KEPT_S
        self._last: Resources | None = None

    def __call__(self) -> Resources:
        """The figures of now, or of less than a second ago."""
        present = self._clock()
        if self._last is None or present - self._read_at >= KEPT_S:
            self._last, self._read_at = self._read(), present
        return self._last

    def latest(self) -> Resources:
        """As they were read last; only the first time they are read now."""
        return self._last or self()

    def _read(self) -> Resources:
        import psutil

        own = psutil.Process()
        with own.oneshot():
            times = own.cpu_times()
            resident, threads, began = own.memory_info().rss, own.num_threads(), own.create_time()
            files = own.num_fds() if sys.platform != "win32" else 0
            connections = len(own.net_connections("tcp"))
        children = 0
        for child in own.children(recursive=True):
            with contextlib.suppress(psutil.Error):  # it ended meanwhile
                children += child.memory_info().rss
        return Resources(
            cpu_s=times.user + times.system,
            resident_bytes=resident,
            children_resident_bytes=children,
            threads=threads,
            open_files=files,
            began_s=began,
            available_bytes=psutil.virtual_memory().available,
            disk_free_bytes=shutil.disk_usage(self._folder).free,
            gpus=self._gpus(),
            connections=connections,
        )
