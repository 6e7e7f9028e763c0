"""What a figure was measured on: processor, cores, versions; and the memory of processes."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from ragstone.operate.versions import version_of

PACKAGES = ("ragstone", "numpy", "onnxruntime", "openvino", "tantivy", "sqlalchemy", "tokenizers")
PROC = Path("/proc")


def describe_machine() -> dict[str, object]:
    """Processor, usable cores, memory, system and the versions that speed hangs on, as plain values."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": processor_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_1_min": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := version_of(name))},
    }


def processor_model() -> str:
    """The processor's name as the system tells it."""
    cpu = PROC / "cpuinfo"
    if cpu.is_file():
        for line in cpu.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def resident_bytes(pids: Iterable[int] | None = None) -> int:
    """Resident memory of the processes together (this one when None); 0 where the system does not tell."""
    return sum(_resident(pid) for pid in (pids if pids is not None else [os.getpid()]))


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used, its living children aside; 0 where the system does not tell."""
    try:
        fields = (PROC / str(pid) / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def process_tree(pid: int) -> list[int]:
    """The process and all its descendants that live now."""
    parents: dict[int, list[int]] = {}
    for status in PROC.glob("[0-9]*/stat"):
        try:
            fields = status.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        parents.setdefault(int(fields[1]), []).append(int(status.parent.name))
    found = [pid]
    for known in found:
        found.extend(parents.get(known, []))
    return found


def _resident(pid: int) -> int:
    try:
        pages = int((PROC / str(pid) / "statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
